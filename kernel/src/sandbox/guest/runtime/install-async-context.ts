import { installAsyncContext } from './async-context.js';

installAsyncContext();
