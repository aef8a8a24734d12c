// A mutation that tells people how it went.

import { useMutation, type UseMutationResult } from '@tanstack/react-query';
import { messageFor } from '../api/problem';
import { toast } from './toasts';

interface Task<T, V> {
  run: (variables: V) => Promise<T>;
  /** Said when it worked. */
  done?: string;
  onDone?: (result: T, variables: V) => unknown;
}

export function useTask<T, V = void>({ run, done, onDone }: Task<T, V>): UseMutationResult<T, Error, V> {
  return useMutation({
    mutationFn: run,
    onSuccess: async (result, variables) => {
      await onDone?.(result, variables);
      if (done) toast(done);
    },
    onError: (error) => toast(messageFor(error), 'bad'),
  });
}
