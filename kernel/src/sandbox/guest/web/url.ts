import { URLPattern } from 'urlpattern-polyfill/urlpattern';
import { URL, URLSearchParams } from 'whatwg-url';
import { defineClass } from './define.js';

defineClass('URL', URL as never);
defineClass('URLSearchParams', URLSearchParams as never);
defineClass('URLPattern', URLPattern as never);
