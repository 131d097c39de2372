/* A handler that uses the target while the program is in the middle of a call on it.  signals FILE SECONDS
 * Every half millisecond SIGALRM reads and writes the bytes that the main loop reads and writes; read, write and
 * pwrite may be called from handlers. Status 1 when a call failed; a deadlock is for the caller's timeout. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int fd;
static volatile sig_atomic_t handled, failed;

static void handler(int signal_number)
{
	static char bytes[3000];
	int error = errno;

	(void)signal_number;
	memset(bytes, handled, sizeof bytes);
	if (pwrite(fd, bytes, sizeof bytes, 1000) != sizeof bytes || pread(fd, bytes, sizeof bytes, 2000) != sizeof bytes)
		failed = 1;
	handled++;
	errno = error;
}

int main(int argc, char **argv)
{
	static char bytes[16384];
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
	struct itimerval often = { { 0, 500 }, { 0, 500 } };
	time_t end;

	if (argc != 3 || (fd = open(argv[1], O_RDWR)) < 0) {
		fprintf(stderr, "usage: signals FILE SECONDS\n");
		return 2;
	}
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	end = time(NULL) + atoi(argv[2]);
	while (time(NULL) < end && !failed) {
		bytes[0]++;
		if (pwrite(fd, bytes, sizeof bytes, 0) != sizeof bytes || pread(fd, bytes, sizeof bytes, 512) != sizeof bytes ||
			lseek(fd, 0, SEEK_SET) || write(fd, bytes, 5000) != 5000 || read(fd, bytes, 5000) != 5000)
			failed = 1;
	}
	memset(&often, 0, sizeof often);
	setitimer(ITIMER_REAL, &often, NULL);
	printf("handled %d\n", (int)handled);
	return failed || !handled;
}
