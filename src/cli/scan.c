/* scan: see scan.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "interrupt.h"
#include "scan.h"

/* ---- which piece is next; under the lock ---- */

static uint64_t down(uint64_t offset)
{
	return offset - offset % CLI_ALIGNMENT;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The extent of image i that ends after at; data[i] is the length of what is
 * looked at where there is none. */
static void look_ahead(struct cli_scan *s, unsigned i, uint64_t at)
{
	if (s->data_end[i] > at || s->data[i] >= s->length)
		return;
	cli_image_data(s->image[i], at, &s->data[i], &s->data_end[i]);
	if (s->data[i] >= s->data_end[i])
		s->data[i] = s->length;
	s->data[i] = least(s->data[i], s->length);
	s->data_end[i] = least(s->data_end[i], s->length);
}

static uint64_t first_data(struct cli_scan *s)
{
	uint64_t first = s->length;

	for (unsigned i = 0; i < s->images; i++) {
		look_ahead(s, i, s->at);
		first = least(first, s->data[i]);
	}
	return first > s->at ? first : s->at;
}

static bool take(struct cli_scan *s, struct cli_piece *piece)
{
	uint64_t first = first_data(s), end = 0;

	if (s->stopped || cli_interrupted() || first >= s->length)
		return false;
	piece->start = down(first);
	piece->end = least(piece->start + CLI_PIECE, s->length);
	/* No further than the data that is there to begin with. */
	for (unsigned i = 0; i < s->images; i++)
		if (s->data[i] < piece->start + CLI_ALIGNMENT &&
		    s->data_end[i] > end)
			end = s->data_end[i];
	end = down(end + CLI_ALIGNMENT - 1);
	piece->end = least(piece->end, end);
	for (unsigned i = 0; i < s->images; i++)
		piece->data[i] = s->data[i] < piece->end;
	piece->found = false;
	piece->error = 0;
	piece->number = s->taken++;
	s->at = piece->end;
	return true;
}

/* ---- the threads ---- */

static void read_piece(const struct cli_scan *s, struct cli_piece *piece)
{
	size_t n = piece->end - piece->start;

	piece->doing = "read";
	for (unsigned i = 0; i < s->images && !piece->error; i++) {
		piece->path = s->image[i]->path;
		if (!piece->bytes[i])
			piece->error = ENOMEM;
		else if (piece->data[i])
			piece->error = -cli_image_read(s->image[i],
						       piece->bytes[i], n,
						       piece->start);
		else
			memset(piece->bytes[i], 0, n);
	}
}

static void finish(struct cli_scan *s, struct cli_piece *piece)
{
	if (!piece->error && s->done)
		s->done(s, piece);
	if (piece->error) {
		cli_progress_hide(s->progress);
		cli_say("%s: %s at offset %llu: %s", piece->path, piece->doing,
			(unsigned long long)piece->start,
			piece->error == ENODATA ? "shorter than it was" :
						  cli_why(piece->error));
		s->failed = s->stopped = true;
		return;
	}
	s->read += piece->end - piece->start;
	cli_progress_at(s->progress, piece->end, s->read);
}

static void *work(void *argument)
{
	struct cli_scan *s = argument;
	struct cli_piece piece = { .bytes = { NULL, NULL } };

	for (unsigned i = 0; i < s->images; i++)
		piece.bytes[i] = aligned_alloc(CLI_ALIGNMENT, CLI_PIECE);
	pthread_mutex_lock(&s->lock);
	while (take(s, &piece)) {
		pthread_mutex_unlock(&s->lock);
		read_piece(s, &piece);
		if (!piece.error)
			s->work(s, &piece);
		pthread_mutex_lock(&s->lock);
		while (s->turn != piece.number)
			pthread_cond_wait(&s->turned, &s->lock);
		if (!s->stopped)
			finish(s, &piece);
		s->turn++;
		pthread_cond_broadcast(&s->turned);
	}
	pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < s->images; i++)
		free(piece.bytes[i]);
	return NULL;
}

int cli_scan(struct cli_scan *s)
{
	pthread_t thread[CLI_SCAN_THREADS - 1];
	unsigned threads = 0;

	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->turned, NULL);
	/* This thread is one of them, and does where there is no other. */
	while (threads < CLI_SCAN_THREADS - 1 &&
	       pthread_create(&thread[threads], NULL, work, s) == 0)
		threads++;
	work(s);
	while (threads > 0)
		pthread_join(thread[--threads], NULL);
	cli_progress_hide(s->progress);
	pthread_cond_destroy(&s->turned);
	pthread_mutex_destroy(&s->lock);
	return s->failed || cli_interrupted() ? -1 : 0;
}
