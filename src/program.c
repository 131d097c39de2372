/* program: see include/blkverify/program.h. */
#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <blkverify/program.h>

#include "proc.h"
#include "raw.h"

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#define OUR_LINKER "ld-linux-x86-64.so"
#else
#define OUR_MACHINE EM_AARCH64
#define OUR_LINKER "ld-linux-aarch64"
#endif

/* ST_NOSUID of <sys/statvfs.h>, as statfs(2) tells it. */
#define NOSUID 2

/* Scripts whose interpreters are scripts: as deep as the kernel goes. */
#define DEEPEST 5

static bool can_begin(const char *path)
{
	struct stat st;

	return raw_fstatat(AT_FDCWD, path, &st, 0) == 0 && S_ISREG(st.st_mode) &&
	       raw_call(SYS_faccessat, AT_FDCWD, (long)path, X_OK, 0, 0, 0) == 0;
}

const char *bv_program_find(const char *name, const char *list, char *found,
			    size_t room)
{
	size_t n = strlen(name), length;

	if (strchr(name, '/'))
		return name;
	if (!list)
		list = "/bin:/usr/bin";
	for (;; list += length + 1) {
		length = strcspn(list, ":");
		if (length + n + 2 <= room) {
			/* An empty element is the current directory. */
			memcpy(found, list, length);
			found[length] = '/';
			memcpy(found + length + (length > 0), name, n + 1);
			if (can_begin(found))
				return found;
		}
		if (!list[length])
			return NULL;
	}
}

/* PT_INTERP, which names the dynamic linker. */
static const char *unfit_linker(int fd, const ElfW(Ehdr) *header)
{
	char name[256];

	for (int i = 0; i < header->e_phnum && i < 256; i++) {
		ElfW(Phdr) p;
		size_t n = sizeof(name) - 1;

		if (raw_pread(fd, &p, sizeof(p), header->e_phoff +
			      (uint64_t)i * header->e_phentsize) != sizeof(p))
			return NULL;
		if (p.p_type != PT_INTERP)
			continue;
		if (p.p_filesz < n)
			n = p.p_filesz;
		if (raw_pread(fd, name, n, p.p_offset) != (ssize_t)n)
			return NULL;
		name[n] = '\0';
		return strstr(name, OUR_LINKER) ? NULL :
						  "another C library";
	}
	return "statically linked";
}

/* ld.so itself, given as the program, has no PT_INTERP and does preload. */
static bool is_linker(const char *path)
{
	const char *slash = strrchr(path, '/');

	return !strncmp(slash ? slash + 1 : path, "ld-linux", 8) ||
	       !strncmp(slash ? slash + 1 : path, "ld.so", 5) ||
	       !strncmp(slash ? slash + 1 : path, "ld-2.", 5);
}

static const char *unfit_elf(int fd, const char *path, const char *bytes,
			     size_t n)
{
	ElfW(Ehdr) header;

	if (n < sizeof(header))
		return NULL;
	memcpy(&header, bytes, sizeof(header));
	if (header.e_ident[EI_CLASS] != ELFCLASS64 ||
	    header.e_machine != OUR_MACHINE)
		return "another machine or word size";
	return is_linker(path) ? NULL : unfit_linker(fd, &header);
}

/* "#!INTERPRETER": true with its path in place of the line. */
static bool is_script(char *line, size_t n, const char **interpreter)
{
	size_t start = 2, end;

	if (n < 3 || line[0] != '#' || line[1] != '!')
		return false;
	while (start < n && (line[start] == ' ' || line[start] == '\t'))
		start++;
	end = start + strcspn(line + start, " \t\n");
	line[end] = '\0';
	*interpreter = line + start;
	return end > start;
}

/* The identity that the kernel would give it is another than that of who
 * begins it: then ld.so drops what is to be preloaded. As in
 * cap_bprm_creds_from_file, Linux 6.1. fd is an O_PATH one, so that a program
 * that may be begun but not read is judged as well. */
static const char *becomes_another(int fd, const struct stat *st)
{
	uid_t real = (uid_t)raw_call(SYS_getuid, 0, 0, 0, 0, 0, 0);
	gid_t real_group = (gid_t)raw_call(SYS_getgid, 0, 0, 0, 0, 0, 0);
	uid_t user = raw_geteuid();
	gid_t group = (gid_t)raw_call(SYS_getegid, 0, 0, 0, 0, 0, 0);
	struct statfs fs;
	char name[PROC_ROOM];

	if (raw_call(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0, 0) != 1 &&
	    (raw_call(SYS_fstatfs, fd, (long)&fs, 0, 0, 0, 0) < 0 ||
	     !(fs.f_flags & NOSUID))) {
		if (st->st_mode & S_ISUID)
			user = st->st_uid;
		if ((st->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
			group = st->st_gid;
		proc_name(name, 0, "fd", (unsigned)fd);
		if (real != 0 && raw_call(SYS_getxattr, (long)name,
					  (long)"security.capability", 0, 0, 0,
					  0) > 0)
			return "file capabilities";
	}
	if (user != real || group != real_group)
		return "another user or group";
	return NULL;
}

static const char *unfit_identity(int dirfd, const char *path, int flags)
{
	const char *reason = NULL;
	struct stat st;
	int fd = raw_openat(dirfd, path, O_PATH | O_CLOEXEC |
			    (flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0), 0);

	if (fd < 0)
		return NULL;
	if (raw_fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		reason = becomes_another(fd, &st);
	raw_close(fd);
	return reason;
}

/* The first room - 1 bytes. Neither waits for nor disturbs what is no regular
 * file. */
static ssize_t first_bytes(int fd, char *bytes, size_t room)
{
	struct stat st;
	ssize_t n = -1;

	if (raw_fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		n = raw_pread(fd, bytes, room - 1, 0);
	bytes[n > 0 ? n : 0] = '\0';
	return n;
}

const char *bv_program_unfit(int dirfd, const char *path, int flags,
			     char interpreter[BV_INTERPRETER_ROOM])
{
	char bytes[BV_INTERPRETER_ROOM], self[PROC_ROOM];

	interpreter[0] = '\0';
	if (path[0] == '\0') {
		proc_name(self, 0, "fd", (unsigned)dirfd);
		path = self;
	}
	for (int depth = 0; depth < DEEPEST; depth++) {
		const char *reason = unfit_identity(dirfd, path, flags);
		const char *next;
		ssize_t n;
		int fd;

		if (reason)
			return reason;
		fd = raw_openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK |
				O_NOCTTY, 0);
		if (fd < 0)
			return NULL;
		n = first_bytes(fd, bytes, sizeof(bytes));
		if (n > SELFMAG && !memcmp(bytes, ELFMAG, SELFMAG))
			reason = unfit_elf(fd, path, bytes, (size_t)n);
		raw_close(fd);
		if (n < 0 || !is_script(bytes, (size_t)n, &next))
			return reason;
		strcpy(interpreter, next);
		path = interpreter;
		dirfd = AT_FDCWD;
		flags = 0;
	}
	return NULL;
}
