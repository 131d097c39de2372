/* Tells of every signal it gets.  listener FILE
 * Reads a sector of FILE, says "ready PID", and then "caught N" for each; ends with status 7 at SIGUSR2. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGCONT };
	static char bytes[512];
	sigset_t set;
	int fd, number;

	if (argc != 2)
		return 2;
	fd = open(argv[1], O_RDONLY);
	if (fd < 0 || pread(fd, bytes, sizeof bytes, 0) != sizeof bytes) {
		perror(argv[1]);
		return 1;
	}
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready %d\n", (int)getpid());
	while (sigwait(&set, &number) == 0) {
		printf("caught %d\n", number);
		if (number == SIGUSR2)
			return 7;
	}
	return 1;
}
