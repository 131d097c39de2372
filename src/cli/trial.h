/* trial: does preloading the library take effect here? */
#ifndef BV_TRIAL_H
#define BV_TRIAL_H

/* Has this very program begun once more with the library, on a pair of its own,
 * and looks if the library left its state behind. Returns NULL when it did,
 * else what is wrong. */
const char *cli_trial(const char *library);

#endif
