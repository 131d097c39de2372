/* notice: telling a program of the end of a request, as its sigevent says. */
#ifndef BV_NOTICE_H
#define BV_NOTICE_H

struct sigevent;

/* By a signal, by a thread that calls a function, or not at all. */
void bv_notify(const struct sigevent *event);

#endif
