import structuredClone from 'core-js/actual/structured-clone';
import { defineGlobal } from './define.js';

defineGlobal('structuredClone', structuredClone);
