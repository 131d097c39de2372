/* bell: what a thread that waits can wait for, besides its own affairs: that
 * something it has in flight has landed (flight.c). An eventfd, which the
 * kernel rings.
 *
 * A few are shared by all threads: who hears one of another's looks in vain.
 * Functions of the calling thread's bell need no lock.
 */
#ifndef BV_BELL_H
#define BV_BELL_H

#include <stdbool.h>

/* The calling thread is about to have transfers in flight, the first of all
 * threads: its bell is made before a program can count its descriptors. */
void bell_begin(void);

/* One more transfer of the calling thread's flies. Returns the bell that is to
 * ring when it lands, for bell_landed. */
unsigned bell_flies(void);
void bell_landed(unsigned bell);

/* Does so much fly that who waits had better leave it to others? With many in
 * flight it has no time to spare: with eight it took 1.9 times as long as native
 * when it helped, and 1.4 times beside a thread of ours. */
bool bell_is_busy(unsigned bell);

/* Is something of the calling thread's in flight, and not too much? */
bool bell_is_waited_for(void);

/* Its descriptor now; -1: it is not to ring. */
int bell_fd(unsigned bell);

/* The calling thread's, made if there is none yet; -1: it is not waited for, or
 * there is no descriptor to be had. */
int bell_wait_fd(void);

/* It was heard, and rings no more. */
void bell_hush(void);

/* In the child after fork. */
void bell_forked(void);

#endif
