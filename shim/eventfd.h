/* eventfd: the program's eventfds that completions of ours are written to.
 *
 * The kernel keeps the file of a request's eventfd, whatever becomes of the
 * number. So do we, by a descriptor of our own for as long as a request is in
 * flight, shared by all that name the same one: eight bytes written to a
 * number that was reused would be a corruption of ours. It stays for the next
 * request until the program closes its own, which with ours would stay in
 * somebody's epoll set.
 */
#ifndef BV_EVENTFD_H
#define BV_EVENTFD_H

/* The file behind fd, which must be an eventfd. Returns its index here, or
 * a negative errno: -EAGAIN when there are too many at once. */
int bv_eventfd_get(int fd);

/* The same where it is held already: then it is one. Else -1. */
int bv_eventfd_again(int fd);

/* Counts it up by one. */
void bv_eventfd_signal(int index);

void bv_eventfd_put(int index);

/* The program is about to close descriptors first to last. */
void bv_eventfd_closing(unsigned first, unsigned last);

/* In the child after fork: no request is in flight. */
void bv_eventfd_forked(void);

#endif
