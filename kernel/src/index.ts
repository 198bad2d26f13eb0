export { type BootReport, Kernel, type KernelOptions } from './kernel.js';
export { loadConfig } from './config/index.js';
