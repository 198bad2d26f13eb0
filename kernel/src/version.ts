/** The version that manifests' `engine` ranges are checked against: that of the plugin contract, not of this package. */
export const KERNEL_VERSION = '1.0.0';
