/* environment: see environment.h. */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <blkverify/text.h>

#include "../src/raw.h"
#include "environment.h"
#include "preload.h"

#define PRELOAD "LD_PRELOAD="
#define PREFIX "BLKVERIFY_"

/* More than there are variables in the contract. */
#define MOST_KEPT 32

static struct kept {
	const char *entry;           /* NAME=value, as passed on */
	const char *original;        /* as it was at start */
	size_t name;                 /* length of NAME= */
	bool pair;                   /* BLKVERIFY_TARGET, BLKVERIFY_SHADOW */
} kept[MOST_KEPT];
static unsigned kept_count;

static const char *start_preload;    /* LD_PRELOAD= as passed on when missing */

/* One mapping for all strings; never given back. */
static char *storage;

/* ---- strings ---- */

static bool begins(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static void put(const char *bytes, size_t n)
{
	memcpy(storage, bytes, n);
	storage += n;
	*storage = '\0';
}

/* ---- start ---- */

/* Elements of the lists, with : and \ escaped; see config.h. */
static void put_directory(const char *directory, bool escape)
{
	for (; *directory; directory++) {
		if (escape && (*directory == ':' || *directory == '\\'))
			put("\\", 1);
		put(directory, 1);
	}
	if (storage[-1] != '/')
		put("/", 1);
}

static void put_pair(const char *value, const char *directory)
{
	bool begin = true;

	for (; *value; value++) {
		if (begin && *value != '/')
			put_directory(directory, true);
		begin = *value == ':';
		put(value, 1);
		if (value[0] == '\\' && value[1]) {
			value++;
			put(value, 1);
		}
	}
}

static bool is_path(const char *entry)
{
	return begins(entry, PREFIX "LOG=") || begins(entry, PREFIX "REPORT=") ||
	       begins(entry, PREFIX "JOURNAL=");
}

static void keep(const char *entry, const char *directory)
{
	struct kept *k = &kept[kept_count];
	const char *equals = strchr(entry, '='), *value;

	if (!equals || kept_count == MOST_KEPT)
		return;
	k->name = (size_t)(equals - entry) + 1;
	for (unsigned i = 0; i < kept_count; i++)
		if (kept[i].name == k->name &&
		    !memcmp(kept[i].entry, entry, k->name))
			return;
	value = equals + 1;
	k->pair = begins(entry, PREFIX "TARGET=") ||
		  begins(entry, PREFIX "SHADOW=");
	k->original = storage;
	put(entry, strlen(entry) + 1);
	k->entry = storage;
	put(entry, k->name);
	/* In a directory called so the name of a log would be expanded
	 * twice. */
	if (k->pair)
		put_pair(value, directory);
	else if (is_path(entry) && value[0] != '/' && !strstr(directory, "%p"))
		put_directory(directory, false), put(value, strlen(value));
	else
		put(value, strlen(value));
	put("", 1);
	kept_count++;
}

/* An upper bound of what all strings take. */
static size_t room_for(char *const envp[], const char *directory)
{
	size_t bytes = 16384;

	for (; *envp; envp++) {
		if (begins(*envp, PRELOAD))
			bytes += 2 * strlen(*envp);
		if (!begins(*envp, PREFIX))
			continue;
		bytes += 2 * strlen(*envp) + 2 * strlen(directory) + 4;
		for (const char *c = *envp; *c; c++)
			bytes += *c == ':' ? 2 * strlen(directory) + 2 : 0;
	}
	return bytes;
}

static const char *preload_in(char *const envp[])
{
	const char *list = NULL;

	/* Given twice, the last one counts for ld.so. */
	for (; envp && *envp; envp++)
		if (begins(*envp, PRELOAD))
			list = *envp + strlen(PRELOAD);
	return list;
}

int bv_environment_start(char *const envp[], const char *directory,
			 struct bv_text *why)
{
	const char *list = preload_in(envp);
	void *map = raw_mmap(NULL, room_for(envp, directory),
			     PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (raw_is_error(map)) {
		text_clear(why);
		text_add(why, "memory for the environment: ");
		text_errno(why, (int)-(long)map);
		return -1;
	}
	storage = map;
	if (preload_start(directory, list ? list : "", &storage, why) < 0)
		return -1;
	start_preload = storage;
	storage = preload_merge(storage, list ? list : "");
	for (; *envp; envp++)
		if (begins(*envp, PREFIX))
			keep(*envp, directory);
	return 0;
}

/* ---- healing ---- */

static const struct kept *kept_of(const char *entry)
{
	for (unsigned i = 0; i < kept_count; i++)
		if (!strncmp(entry, kept[i].entry, kept[i].name))
			return &kept[i];
	return NULL;
}

/* Does the entry stay as it is? */
static bool stays(const char *entry)
{
	const struct kept *k;

	if (begins(entry, PRELOAD))
		return false;
	k = begins(entry, PREFIX) ? kept_of(entry) : NULL;
	return !k || !strcmp(entry, k->entry) ||
	       (!k->pair && strcmp(entry, k->original));
}

static bool is_sound(char *const envp[], const char *list, size_t *count)
{
	uint32_t found = 0, all = (uint32_t)(((uint64_t)1 << kept_count) - 1);
	bool sound = list && preload_is_sound(list);

	for (*count = 0; envp && envp[*count]; ++*count) {
		const char *entry = envp[*count];
		const struct kept *k = begins(entry, PREFIX) ? kept_of(entry)
							     : NULL;

		if (k)
			found |= (uint32_t)1 << (k - kept);
		sound &= begins(entry, PRELOAD) || stays(entry);
	}
	return sound && found == all;
}

/* Room for count entries, ours, and the list of libraries merged. */
static int make_room(struct bv_healed *h, size_t count, const char *list,
		     char ***entries, char **preload)
{
	size_t room = sizeof(char *) * (count + kept_count + 2);
	size_t bytes = list ? preload_room(list) : 0;

	*entries = h->list;
	*preload = h->preload;
	if (room <= sizeof(h->list) && bytes <= sizeof(h->preload))
		return 0;
	h->bytes = room + bytes;
	h->map = raw_mmap(NULL, h->bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (raw_is_error(h->map)) {
		h->map = NULL;
		return -ENOMEM;
	}
	*entries = h->map;
	*preload = (char *)h->map + room;
	return 0;
}

static void fill(char **entries, char *const envp[], const char *preload)
{
	uint32_t found = 0;

	for (; envp && *envp; envp++) {
		const struct kept *k = begins(*envp, PREFIX) ? kept_of(*envp)
							     : NULL;

		if (!stays(*envp))
			continue;
		if (k)
			found |= (uint32_t)1 << (k - kept);
		*entries++ = *envp;
	}
	*entries++ = (char *)preload;
	for (unsigned i = 0; i < kept_count; i++)
		if (!(found >> i & 1))
			*entries++ = (char *)kept[i].entry;
	*entries = NULL;
}

char *const *bv_environment_heal(struct bv_healed *h, char *const envp[])
{
	const char *list = preload_in(envp), *preload = start_preload;
	size_t count;
	char **entries, *merged;

	h->map = NULL;
	if (!preload_is_known() || is_sound(envp, list, &count))
		return envp;
	/* Empty is as good as missing. */
	if (list && !list[strspn(list, " :")])
		list = NULL;
	/* Without memory the kernel would not start the child either. */
	if (make_room(h, count, list, &entries, &merged) < 0)
		return envp;
	if (list) {
		preload_merge(merged, list);
		preload = merged;
	}
	fill(entries, envp, preload);
	return entries;
}

void bv_environment_done(struct bv_healed *h)
{
	if (h->map)
		raw_munmap(h->map, h->bytes);
	h->map = NULL;
}

/* ---- lending ---- */

/* The healed environment that environ is while anybody is inside. */
static struct bv_healed lent;
static char *const *lent_entries;
static char **lent_original;
static unsigned borrowers;
static atomic_uint lending;

static raw_sigset lock(void)
{
	raw_sigset mask = raw_block_signals();

	while (atomic_exchange(&lending, 1))
		raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	return mask;
}

static void unlock(raw_sigset mask)
{
	atomic_store(&lending, 0);
	raw_sigmask(mask);
}

void bv_environment_lend(void)
{
	raw_sigset mask;

	if (!preload_is_known())
		return;
	mask = lock();
	/* Changed by the program meanwhile: the old one stays where others
	 * may still be reading it, and is not used again. */
	if (borrowers > 0 && environ != lent_entries) {
		struct bv_healed unused;

		if (bv_environment_heal(&unused, environ) != environ)
			borrowers = 0;
		bv_environment_done(&unused);
	}
	/* One too large for its place is mapped, and not given back: another
	 * thread may be searching it. */
	if (borrowers++ == 0) {
		lent_original = environ;
		lent_entries = bv_environment_heal(&lent, environ);
		environ = (char **)lent_entries;
	}
	unlock(mask);
}

void bv_environment_return(void)
{
	raw_sigset mask;

	if (!preload_is_known())
		return;
	mask = lock();
	if (borrowers > 0 && --borrowers == 0 && environ == lent_entries)
		environ = lent_original;
	unlock(mask);
}

const char *bv_environment_get(const char *name)
{
	size_t n = strlen(name);

	for (char **entry = environ; entry && *entry; entry++)
		if (!strncmp(*entry, name, n) && (*entry)[n] == '=')
			return *entry + n + 1;
	return NULL;
}

void bv_environment_forked(void)
{
	atomic_store(&lending, 0);
}
