/* progress: see progress.h. */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "progress.h"

#define WIDEST 512

static double seconds(const struct timespec *from, const struct timespec *to)
{
	return (double)(to->tv_sec - from->tv_sec) +
	       (double)(to->tv_nsec - from->tv_nsec) / 1e9;
}

static size_t columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return 80;
	return size.ws_col < WIDEST ? size.ws_col : WIDEST;
}

/* "1.5 GiB" */
static void put_size(char *text, size_t room, double bytes)
{
	static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	size_t i = 0;

	for (; bytes >= 1024 && i + 1 < sizeof(unit) / sizeof(*unit); i++)
		bytes /= 1024;
	snprintf(text, room, i ? "%.1f %s" : "%.0f %s", bytes, unit[i]);
}

static void put_time(char *text, size_t room, double left)
{
	unsigned long s = left < 360000 ? (unsigned long)left : 359999;

	if (s >= 3600)
		snprintf(text, room, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60,
			 s % 60);
	else
		snprintf(text, room, "%lu:%02lu", s / 60, s % 60);
}

/* What follows the bar. There is no rate and no guess in the first moment. */
static void put_words(const struct cli_progress *p, char *text, size_t room,
		      uint64_t at, uint64_t bytes)
{
	double elapsed = seconds(&p->begun, &p->last);
	char total[32], rate[32], left[32];

	put_size(total, sizeof(total), (double)p->total);
	if (elapsed < 0.1 || at == 0) {
		snprintf(text, room, "of %s", total);
		return;
	}
	put_size(rate, sizeof(rate), (double)bytes / elapsed);
	put_time(left, sizeof(left),
		 elapsed * (double)(p->total - at) / (double)at);
	snprintf(text, room, "of %s, %s/s, %s left", total, rate, left);
}

static void draw(struct cli_progress *p, uint64_t at, uint64_t bytes)
{
	char words[128], line[WIDEST + 1];
	size_t width = columns(), bar, full;
	int n;

	put_words(p, words, sizeof(words), at, bytes);
	/* "\r 42% [" "] " and the last column, which would begin a new line */
	bar = width > strlen(words) + 9 ? width - strlen(words) - 9 : 0;
	full = p->total ? (size_t)((double)at / (double)p->total * (double)bar)
			: bar;
	memset(line, ' ', sizeof(line));
	memset(line, '#', full);
	n = p->total ? (int)((double)at / (double)p->total * 100) : 100;
	if (bar)
		fprintf(stderr, "\r%3d%% [%.*s] %s", n, (int)bar, line, words);
	else
		fprintf(stderr, "\r%3d%%", n);
	fflush(stderr);
	p->shown = true;
}

void cli_progress_begin(struct cli_progress *p, uint64_t total)
{
	*p = (struct cli_progress){
		.on = isatty(STDERR_FILENO), .total = total,
	};
	clock_gettime(CLOCK_MONOTONIC, &p->begun);
	p->last = p->begun;
	if (p->on)
		draw(p, 0, 0);
}

void cli_progress_at(struct cli_progress *p, uint64_t at, uint64_t bytes)
{
	struct timespec now;

	if (!p->on)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (seconds(&p->last, &now) < 0.2 && p->shown)
		return;
	p->last = now;
	draw(p, at, bytes);
}

void cli_progress_hide(struct cli_progress *p)
{
	if (!p->shown)
		return;
	fprintf(stderr, "\r%*s\r", (int)columns() - 1, "");
	fflush(stderr);
	p->shown = false;
}
