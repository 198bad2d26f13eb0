/** The version that manifests' `engine` ranges are checked against: that of the plugin contract, not of this package. */
export { ENGINE_VERSION as KERNEL_VERSION } from '@atoll/plugin-sdk/contract';
