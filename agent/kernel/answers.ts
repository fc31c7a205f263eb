import { closeSync } from 'node:fs';
import * as bpf from './bpf.js';
import { isSysError } from './errors.js';
import { answerProgram } from './grant-program.js';

let known: boolean | undefined;

/** Whether a device program can see and set the answer of those that ran before it. It stays while the kernel runs. */
export function hasAnswers(): boolean {
  known ??= tried();
  return known;
}

function tried(): boolean {
  try {
    closeSync(bpf.load(bpf.programType.cgroupDevice, 'hotseat_answer', answerProgram()));
    return true;
  } catch (error) {
    // The verifier knows no such function.
    if (isSysError(error, 'EINVAL')) return false;
    throw error;
  }
}
