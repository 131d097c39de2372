/*
 * opener SYMBOL FILE WORD...: opens FILE by that symbol, prints the result and what fstat says, and reads the first
 * 4096 bytes if the descriptor can be read. WORDs: rdonly wronly rdwr creat excl trunc append direct tmpfile path
 * cloexec (flags), mode=OCTAL, at=OFFSET (reads there), write=BYTE (fills 512 bytes there first),
 * link=PATH (links the descriptor to PATH before it is used).
 * opener --list: every SYMBOL, one a line.
 */
#include "client.h"
#include <sys/stat.h>
#include <sys/syscall.h>

#define PATH_CALLS(X) X(open) X(open64) X(__open) X(__open64)
#define PATH2_CALLS(X) X(__open_2) X(__open64_2)
#define AT_CALLS(X) X(openat) X(openat64)
#define AT2_CALLS(X) X(__openat_2) X(__openat64_2)
#define CREAT_CALLS(X) X(creat) X(creat64)

#define D(name) CALL(name, int, (const char *, int, ...))
PATH_CALLS(D)
#undef D
#define D(name) CALL(name, int, (const char *, int))
PATH2_CALLS(D)
#undef D
#define D(name) CALL(name, int, (int, const char *, int, ...))
AT_CALLS(D)
#undef D
#define D(name) CALL(name, int, (int, const char *, int))
AT2_CALLS(D)
#undef D
#define D(name) CALL(name, int, (const char *, mode_t))
CREAT_CALLS(D)
#undef D

#define C(name, ...) if (!strcmp(symbol, #name)) { \
		if (!call_##name) \
			absent(#name); \
		return call_##name(__VA_ARGS__); \
	}

/* through a handle, as file servers do; only root may */
static int open_by_handle(const char *path, int flags)
{
	struct file_handle *handle = calloc(1, sizeof(*handle) + MAX_HANDLE_SZ);
	int mount, dir, fd;

	handle->handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(AT_FDCWD, path, handle, &mount, 0))
		absent("file handles");
	dir = open(path, O_RDONLY);
	fd = open_by_handle_at(dir, handle, flags);
	if (fd == -1)
		absent("open_by_handle_at");
	/* the descriptor that only named the file system is in the way of comparing numbers */
	dup2(fd, dir);
	close(fd);
	return dir;
}

static int call(const char *symbol, const char *path, int flags, mode_t mode)
{
#define P(name) C(name, path, flags, mode)
	PATH_CALLS(P)
#undef P
#define P(name) C(name, path, flags)
	PATH2_CALLS(P)
#undef P
#define P(name) C(name, AT_FDCWD, path, flags, mode)
	AT_CALLS(P)
#undef P
#define P(name) C(name, AT_FDCWD, path, flags)
	AT2_CALLS(P)
#undef P
#define P(name) C(name, path, mode)
	CREAT_CALLS(P)
#undef P
	if (!strcmp(symbol, "open_by_handle_at"))
		return open_by_handle(path, flags);
	if (!strcmp(symbol, "openat2")) {
		struct { uint64_t flags, mode, resolve; } how = { (unsigned)flags, flags & O_CREAT ? mode : 0, 0 };
		int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

		if (fd == -1 && errno == ENOSYS)
			absent("openat2");
		return fd;
	}
	usage("unknown symbol");
}

static void list(void)
{
#define L(name) puts(#name);
	PATH_CALLS(L) PATH2_CALLS(L) AT_CALLS(L) AT2_CALLS(L) CREAT_CALLS(L)
#undef L
	puts("open_by_handle_at");
	puts("openat2");
}

static const struct { const char *word; int flag; } words[] = {
	{ "rdonly", O_RDONLY }, { "wronly", O_WRONLY }, { "rdwr", O_RDWR }, { "creat", O_CREAT }, { "excl", O_EXCL },
	{ "trunc", O_TRUNC }, { "append", O_APPEND }, { "direct", O_DIRECT }, { "tmpfile", O_TMPFILE },
	{ "path", O_PATH }, { "cloexec", O_CLOEXEC },
};

int main(int argc, char **argv)
{
	int flags = 0, fd, how, fill = -1;
	const char *link_to = NULL;
	off_t at = 0;
	mode_t mode = 0;
	struct stat st;
	void *buf;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		list();
		return 0;
	}
	if (argc < 3)
		usage("opener SYMBOL FILE WORD...");
	for (int i = 3; i < argc; i++) {
		size_t w;

		if (sscanf(argv[i], "mode=%o", &mode) == 1)
			continue;
		if (!strncmp(argv[i], "at=", 3)) {
			at = number(argv[i] + 3);
			continue;
		}
		if (!strncmp(argv[i], "write=", 6)) {
			fill = (int)number(argv[i] + 6);
			continue;
		}
		if (!strncmp(argv[i], "link=", 5)) {
			link_to = argv[i] + 5;
			continue;
		}
		for (w = 0; w < sizeof(words) / sizeof(*words) && strcmp(argv[i], words[w].word); w++)
			;
		if (w == sizeof(words) / sizeof(*words))
			usage("unknown word");
		flags |= words[w].flag;
	}
	umask(0);
	fd = call(argv[1], argv[2], flags, mode);
	if (result(fd))
		return 1;
	if (link_to) {
		char name[32];

		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		if (linkat(AT_FDCWD, name, AT_FDCWD, link_to, AT_SYMLINK_FOLLOW))
			trouble("linkat");
	}
	if (fstat(fd, &st))
		trouble("fstat");
	how = fcntl(fd, F_GETFL);
	printf("mode=%o size=%lld accmode=%d cloexec=%d\n", st.st_mode & 07777, (long long)st.st_size, how & O_ACCMODE,
		fcntl(fd, F_GETFD));
	if (how & O_PATH)
		return 0;
	buf = buffer(4096, fill);
	if (fill != -1 && result(pwrite(fd, buf, 512, at)))
		return 1;
	if ((how & O_ACCMODE) != O_WRONLY) {
		memset(buf, 0xee, 4096);
		if (result(pread(fd, buf, 4096, at)))
			return 1;
		printf("digest=%016llx\n", (unsigned long long)digest(buf, 4096));
	}
	return 0;
}
