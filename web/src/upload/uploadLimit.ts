// The largest upload the server takes, as its OPTIONS answer says.

import { queryOptions } from '@tanstack/react-query';
import { send } from '../api/client';

export const uploadLimitQuery = () =>
  queryOptions({
    queryKey: ['upload-limit'],
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
    queryFn: async (): Promise<number | null> => {
      const response = await send('OPTIONS', `${location.origin}/uploads`);
      const limit = Number(response.headers.get('Tus-Max-Size') ?? Number.NaN);
      return Number.isSafeInteger(limit) && limit > 0 ? limit : null;
    },
  });
