import type { Diagnostic } from '../core/policy.js';

/** `left.yaml:5:14: unknown key "prot": did you mean "port"?` */
export const formatDiagnostic = ({ place, message, remedy }: Diagnostic): string =>
  `${place.file}:${place.line}:${place.column}: ${message}: ${remedy}`;
