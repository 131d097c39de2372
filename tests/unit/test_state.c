/* state: the state file, and what a pair is refused for at start. */
#include "pair.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static struct bv_text why;

/* cmocka's own skip comes out as a failure in TAP. */
#define SKIP(reason) \
	do { \
		print_message("# skipped: %s\n", reason); \
		return; \
	} while (0)

/* A pair that the engine does not run on yet. */
static int make_only(void **state)
{
	(void)state;
	pair_make(PAIR_BYTES);
	return 0;
}

/* Where the state file is, whatever it is called. */
static const char *state_path(void)
{
	static char name[PATH_MAX];
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", pair.disk->state_fd);
	n = readlink(path, name, sizeof(name) - 1);
	name[n > 0 ? n : 0] = '\0';
	return name;
}

static bool stands_in_memory(void)
{
	return strncmp(state_path(), "/dev/shm/blkverify-", 19) == 0;
}

/* What stands there does not go with the directory of the pair. */
static void forget_memory(void)
{
	if (stands_in_memory())
		unlink(state_path());
}

static int end(void **state)
{
	forget_memory();
	return pair_end(state);
}

static void start(void)
{
	if (pair_start(&why) != 0)
		fprintf(stderr, "# %s\n", why.bytes);
	assert_string_equal(why.bytes, "");
}

static void refused(const char *reason)
{
	assert_int_equal(pair_start(&why), -1);
	if (!strstr(why.bytes, reason))
		fprintf(stderr, "# %s\n", why.bytes);
	assert_non_null(strstr(why.bytes, reason));
}

/* Another process starts on the same pair, runs body, and is done. */
static void (*other_body)(void);

static void other(void)
{
	pair_stop();
	CHECK(pair_start(&why) == 0);
	other_body();
}

static int in_another(void (*body)(void))
{
	other_body = body;
	return pair_child(other);
}

static void test_made_beside_the_shadow(void **state)
{
	struct stat st;

	(void)state;
	start();
	assert_int_equal(lstat(pair.state, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(st.st_size, bv_state_bytes(64));
	assert_true(st.st_blocks * 512 >= st.st_size);
	assert_int_equal(pair.disk->state->magic, BV_STATE_MAGIC);
	assert_int_equal(pair.disk->state->version, BV_STATE_VERSION);
	assert_int_equal(pair.disk->state->history_room, 64);
	assert_int_equal(atomic_load(&pair.disk->state->size), PAIR_BYTES);
	assert_int_equal(memcmp(pair.disk->state, "BVSTATE1", 8), 0);
}

static void test_first_is_alone_and_counts_anew(void **state)
{
	(void)state;
	start();
	atomic_store(&pair.disk->state->mismatches, 5);
	atomic_store(&pair.disk->state->processes, 5);
	bv_unknown_add(pair.disk, 10, 20, false);
	pair_restart();
	assert_int_equal(atomic_load(&pair.disk->state->mismatches), 0);
	assert_int_equal(atomic_load(&pair.disk->state->processes), 0);
	assert_true(pair_is_unknown(10, 20));
}

static void share(void)
{
	CHECK(atomic_load(&pair.disk->state->mismatches) == 5);
	CHECK(pair_is_unknown(10, 20));
	bv_unknown_add(pair.disk, 100, 110, false);
	atomic_fetch_add(&pair.disk->state->mismatches, 1);
	while (atomic_load(&pair.disk->state->writes) == 0)
		pair_sleep(1);
	/* It waits for what the first holds. */
	pair_write_pattern(512, 4096, 1);
	CHECK(atomic_load(&pair.disk->state->reads) == 1);
}

static void test_second_shares_with_the_first(void **state)
{
	struct bv_claim claim = { .exclusive = true, .op = BV_OP_WRITE,
				  .start = 4096, .end = 8192 };
	struct bv_hold hold;
	pid_t pid;

	(void)state;
	start();
	atomic_store(&pair.disk->state->mismatches, 5);
	bv_unknown_add(pair.disk, 10, 20, false);
	pid = pair_fork();
	if (pid == 0) {
		other_body = share;
		other();
		_exit(0);
	}
	while (atomic_load(&pair.disk->state->mismatches) == 5)
		pair_sleep(1);
	assert_int_equal(bv_inflight_take(pair.disk, &claim, &hold), 0);
	atomic_store(&pair.disk->state->writes, 1);
	pair_sleep(100);
	atomic_fetch_add(&pair.disk->state->reads, 1);
	bv_inflight_drop(&hold);
	assert_int_equal(pair_wait(pid), 0);
	assert_true(pair_is_unknown(100, 110));
	assert_int_equal(atomic_load(&pair.disk->state->mismatches), 6);
	assert_true(pair_same());
}

/* The second has another idea of how much to remember: the first's counts. */
static void other_history(void)
{
	CHECK(pair.disk->state->history_room == 20000);
	for (int i = 0; i < 20000; i++)
		bv_history_add(pair.disk, BV_OP_WRITE, 0, 1, 1);
}

static void test_second_wants_another_history(void **state)
{
	struct bv_past past;

	(void)state;
	pair.config.history = 20000;
	start();
	pair.config.history = 1000;
	assert_int_equal(in_another(other_history), 0);
	assert_true(bv_history_before(pair.disk, 0, 0, 1, &past));
	assert_int_equal(past.sequence, 20000);
	assert_true(bv_history_before(pair.disk, 19999, 0, 1, &past));
	pair.config.history = 20000;
}

static void nothing(void)
{
}

/* The last to go leaves it free: who comes then is alone. */
static void test_alone_after_the_others_left(void **state)
{
	(void)state;
	start();
	assert_int_equal(in_another(nothing), 0);
	atomic_store(&pair.disk->state->mismatches, 5);
	assert_int_equal(in_another(nothing), 0);
	assert_int_equal(atomic_load(&pair.disk->state->mismatches), 5);
	pair_restart();
	assert_int_equal(atomic_load(&pair.disk->state->mismatches), 0);
}

/* ---- begun anew ---- */

static void leave_unknown(void)
{
	start();
	bv_unknown_add(pair.disk, 10, 20, false);
	pair_stop();
}

static void test_other_version(void **state)
{
	uint32_t version = BV_STATE_VERSION + 1;

	(void)state;
	leave_unknown();
	pair_put(pair.state, &version, 4, offsetof(struct bv_state, version));
	start();
	assert_false(bv_unknown_any(pair.disk));
	assert_int_equal(pair.disk->state->version, BV_STATE_VERSION);
}

static void test_something_else(void **state)
{
	(void)state;
	leave_unknown();
	pair_put(pair.state, "whatever", 8, 0);
	start();
	assert_false(bv_unknown_any(pair.disk));
	assert_int_equal(pair.disk->state->magic, BV_STATE_MAGIC);
}

static void test_cut_short(void **state)
{
	(void)state;
	leave_unknown();
	assert_int_equal(truncate(pair.state, 1000), 0);
	start();
	assert_false(bv_unknown_any(pair.disk));
	bv_history_add(pair.disk, BV_OP_WRITE, 0, 1, 1);
}

static void test_of_another_shadow(void **state)
{
	char former[200];

	(void)state;
	leave_unknown();
	snprintf(former, sizeof(former), "%s/former", pair.directory);
	assert_int_equal(rename(pair.shadow, former), 0);
	pair_make_file(pair.shadow, PAIR_BYTES);
	start();
	assert_false(bv_unknown_any(pair.disk));
}

static void test_more_history_than_before(void **state)
{
	(void)state;
	leave_unknown();
	pair.config.history = 5000;
	start();
	assert_true(pair_is_unknown(10, 20));
	for (int i = 0; i < 6000; i++)
		bv_history_add(pair.disk, BV_OP_WRITE, 0, 1, 1);
}

/* ---- refused ---- */

static void test_symbolic_link(void **state)
{
	char elsewhere[200];

	(void)state;
	snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", pair.directory);
	pair_make_file(elsewhere, 100);
	assert_int_equal(symlink(elsewhere, pair.state), 0);
	refused("not a regular file of this user's own");
	assert_int_equal(pair_length(elsewhere), 100);
}

static void test_hard_link(void **state)
{
	char elsewhere[200];

	(void)state;
	snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", pair.directory);
	pair_make_file(elsewhere, 100);
	assert_int_equal(link(elsewhere, pair.state), 0);
	refused("not a regular file of this user's own");
	assert_int_equal(pair_length(elsewhere), 100);
}

static void test_of_another_user(void **state)
{
	(void)state;
	if (geteuid() != 0)
		SKIP("not root");
	pair_make_file(pair.state, 100);
	assert_int_equal(chown(pair.state, 65534, 65534), 0);
	refused("not a regular file of this user's own");
	assert_int_equal(pair_length(pair.state), 100);
}

static void test_not_a_file(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(pair.state, 0600), 0);
	refused("not a regular file of this user's own");
}

/* ---- where nothing can be written beside the shadow ---- */

/* The directory of the pair becomes a file system of its own. */
static void mount_own(const char *options)
{
	if (unshare(CLONE_NEWNS) < 0)
		_exit(77);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", pair.directory, "tmpfs", 0, options) < 0)
		_exit(77);
	pair_make_file(pair.target, PAIR_BYTES);
	pair_make_file(pair.shadow, PAIR_BYTES);
}

static void use_it(void)
{
	CHECK(pair_start(&why) == 0);
	CHECK(stands_in_memory());
	CHECK(pair_length(pair.state) == UINT64_MAX);
	bv_unknown_add(pair.disk, 10, 20, false);
	/* It is found again: by who shares it, and by the next. */
	CHECK(in_another(nothing) == 0);
	pair_stop();
	CHECK(pair_start(&why) == 0);
	CHECK(stands_in_memory());
	CHECK(pair_is_unknown(10, 20));
	forget_memory();
}

static void in_full_directory(void)
{
	mount_own("size=192k");
	use_it();
}

static void in_read_only_directory(void)
{
	mount_own("size=16m");
	CHECK(mount("none", pair.directory, NULL, MS_REMOUNT | MS_RDONLY, NULL)
	      == 0);
	/* The log cannot be there, and nothing opened for writing. */
	snprintf(pair.log, sizeof(pair.log), "/dev/null");
	pair_start(&why);
	CHECK(strcmp(why.bytes, "") == 0);
	CHECK(stands_in_memory());
	CHECK(!pair.disk->shadow_writable);
	forget_memory();
}

static void test_full_file_system(void **state)
{
	int status = pair_child(in_full_directory);

	(void)state;
	if (WEXITSTATUS(status) == 77)
		SKIP("the kernel does not let us");
	assert_int_equal(status, 0);
}

static void test_read_only_directory(void **state)
{
	int status = pair_child(in_read_only_directory);

	(void)state;
	if (WEXITSTATUS(status) == 77)
		SKIP("the kernel does not let us");
	assert_int_equal(status, 0);
}

/* A file system that cannot reserve blocks, such as NFS before 4.2. */
static void without_fallocate(void)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fallocate, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, rules };
	struct stat st;

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(77);
	CHECK(pair_start(&why) == 0);
	CHECK(!stands_in_memory());
	CHECK(stat(pair.state, &st) == 0);
	CHECK(st.st_size == (off_t)bv_state_bytes(64));
	CHECK(st.st_blocks * 512 >= st.st_size);
	bv_unknown_add(pair.disk, 10, 20, false);
	pair_stop();
	/* What the former run left is what it is there for. */
	CHECK(pair_start(&why) == 0);
	CHECK(pair_is_unknown(10, 20));
	pair_stop();
	pair.config.history = 5000;
	CHECK(pair_start(&why) == 0);
	CHECK(pair_is_unknown(10, 20));
	CHECK(stat(pair.state, &st) == 0);
	CHECK(st.st_blocks * 512 >= st.st_size);
	/* Nor can the shadow punch holes. */
	CHECK(pair_same());
}

static void test_without_fallocate(void **state)
{
	int status = pair_child(without_fallocate);

	(void)state;
	if (WEXITSTATUS(status) == 77)
		SKIP("the kernel does not let us");
	assert_int_equal(status, 0);
}

/* ---- two targets and one shadow ---- */

static char second[200];

static void start_with_second_target(void)
{
	pair_stop();
	pair.config.target[0] = second;
	CHECK(pair_start(&why) == -1);
	CHECK(strstr(why.bytes, "in use as the shadow of another target"));
}

static void test_shadow_of_another_target(void **state)
{
	(void)state;
	start();
	snprintf(second, sizeof(second), "%s/second", pair.directory);
	pair_make_file(second, PAIR_BYTES);
	assert_int_equal(pair_child(start_with_second_target), 0);
}

/* The same number on another device is another file. */
static void start_again(void)
{
	pair_stop();
	CHECK(pair_start(&why) == -1);
	CHECK(strstr(why.bytes, "in use as the shadow of another target"));
}

static void test_same_inode_of_another_device(void **state)
{
	(void)state;
	start();
	assert_int_equal(in_another(nothing), 0);
	atomic_fetch_add(&pair.disk->state->target_device, 1);
	assert_int_equal(pair_child(start_again), 0);
}

/* In one process likewise. */
static void two_pairs(const char *target, const char *shadow,
		      const char *reason)
{
	pair.config.pairs = 2;
	pair.config.target[1] = target;
	pair.config.shadow[1] = shadow;
	refused(reason);
}

static void test_no_file_plays_two_parts(void **state)
{
	char name[2][200];

	(void)state;
	for (int i = 0; i < 2; i++) {
		snprintf(name[i], sizeof(name[i]), "%s/%d", pair.directory, i);
		pair_make_file(name[i], PAIR_BYTES);
	}
	two_pairs(name[0], pair.shadow, "is the shadow of two targets");
	pair_stop();
	two_pairs(pair.target, name[1], "is given twice");
	pair_stop();
	two_pairs(name[0], pair.target, "is a target as well");
	pair_stop();
	pair.config.pairs = 1;
	pair.config.target[0] = pair.shadow;
	refused("is its own shadow");
	pair_stop();
	pair.config.target[0] = pair.target;
	start();
}

static void test_two_pairs_side_by_side(void **state)
{
	char name[2][200];
	unsigned char bytes[512];
	int fd;

	(void)state;
	for (int i = 0; i < 2; i++) {
		snprintf(name[i], sizeof(name[i]), "%s/%d", pair.directory, i);
		pair_make_file(name[i], 4096);
	}
	pair.config.pairs = 2;
	pair.config.target[1] = name[0];
	pair.config.shadow[1] = name[1];
	start();
	fd = open(name[0], O_RDWR);
	assert_ptr_equal(bv_fd_disk(fd), &bv_disk[1]);
	assert_ptr_equal(bv_fd_disk(pair.fd), &bv_disk[0]);
	pair.disk = &bv_disk[1];
	pair_pattern(bytes, 512, 0, 9);
	assert_int_equal(pair_transfer(true, fd, bytes, 512, 512, 0), 512);
	pair.disk = &bv_disk[0];
	pair_get(name[1], bytes, 512, 512);
	assert_true(pair_is_pattern(bytes, 512, 0, 9));
	assert_true(pair_same());
	close(fd);
}

/* ---- what a pair must be ---- */

static void test_lengths_differ(void **state)
{
	(void)state;
	assert_int_equal(truncate(pair.shadow, PAIR_BYTES - 512), 0);
	refused("65024 bytes, target has 65536");
}

static void test_what_is_not_there(void **state)
{
	(void)state;
	unlink(pair.shadow);
	refused("does not exist");
	assert_non_null(strstr(why.bytes, "BLKVERIFY_SHADOW="));
}

static void test_a_directory(void **state)
{
	(void)state;
	pair.config.shadow[0] = pair.directory;
	refused("is a directory");
	pair_stop();
	pair.config.shadow[0] = pair.shadow;
	pair.config.target[0] = pair.directory;
	refused("is a directory");
}

static void with_no_descriptor_left(void)
{
	struct rlimit limit = { 8, 8 };
	int fd;

	/* One is free: enough to open, too few to move out of the way. */
	while ((fd = open("/dev/null", O_RDONLY)) >= 0 && fd < 6)
		;
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	text_clear(&why);
	CHECK(bv_disk_start(&pair.config, &why) == -1);
	CHECK(strstr(why.bytes, "EMFILE"));
}

/* Not without a reason. */
static void test_too_few_descriptors(void **state)
{
	(void)state;
	assert_int_equal(pair_child(with_no_descriptor_left), 0);
}

/* ---- a look afterwards ---- */

/* As the command has it: the shadow alone. */
static int look(struct bv_disk *disk)
{
	memset((void *)disk, 0, sizeof(*disk));
	disk->shadow = pair.shadow;
	disk->shadow_fd = open(pair.shadow, O_RDONLY);
	assert_true(disk->shadow_fd >= 0);
	return bv_state_look(disk);
}

static void look_no_more(struct bv_disk *disk)
{
	if (disk->state) {
		munmap(disk->state, bv_state_bytes(disk->state->history_room));
		close(disk->state_fd);
	}
	close(disk->shadow_fd);
}

/* The pair after a run that died in the middle of a write of bytes 4096 to
 * 4607. */
static void leave_a_write(void)
{
	struct bv_claim claim = {
		.space = BV_SPACE_BYTES, .exclusive = true, .op = BV_OP_WRITE,
		.start = 4096, .end = 4608, .offset = 4096, .length = 512,
	};
	struct bv_hold hold;

	start();
	bv_unknown_add(pair.disk, 10, 20, false);
	bv_history_add(pair.disk, BV_OP_WRITE, 0, 512, 512);
	assert_int_equal(bv_inflight_take(pair.disk, &claim, &hold), 0);
	pair_stop();
}

static void test_look_changes_nothing(void **state)
{
	struct bv_disk disk;
	struct bv_extent e;
	struct bv_past past;
	struct bv_left left;

	(void)state;
	leave_a_write();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(look(&disk), 0);
		assert_true(bv_history_before(&disk, 0, 0, 1, &past));
		assert_true(bv_unknown_next(&disk, 0, 4096, &e));
		assert_int_equal(e.start, 10);
		assert_false(bv_unknown_next(&disk, 4096, 8192, &e));
		bv_inflight_recover(&disk, &left);
		assert_int_equal(left.writing, 1);
		assert_true(bv_unknown_next(&disk, 4096, 8192, &e));
		assert_int_equal(e.start, 4096);
		assert_int_equal(e.end, 4608);
		look_no_more(&disk);
	}
	/* Nor is the next run held up by it. */
	start();
	assert_true(pair_is_unknown(4096, 4608));
}

static void test_look_finds_nothing(void **state)
{
	uint32_t room = 65;
	struct bv_disk disk;

	(void)state;
	assert_int_equal(look(&disk), -ENOENT);
	look_no_more(&disk);
	leave_a_write();
	/* More history than there is file. */
	pair_put(pair.state, &room, 4, offsetof(struct bv_state, history_room));
	assert_int_equal(look(&disk), -EUCLEAN);
	look_no_more(&disk);
	room = 64;
	pair_put(pair.state, &room, 4, offsetof(struct bv_state, history_room));
	assert_int_equal(look(&disk), 0);
	look_no_more(&disk);
	pair_put(pair.state, "whatever", 8, 0);
	assert_int_equal(look(&disk), -EUCLEAN);
	look_no_more(&disk);
	assert_int_equal(truncate(pair.state, 1000), 0);
	assert_int_equal(look(&disk), -EUCLEAN);
	look_no_more(&disk);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_only, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_made_beside_the_shadow),
		TEST(test_first_is_alone_and_counts_anew),
		TEST(test_second_shares_with_the_first),
		TEST(test_second_wants_another_history),
		TEST(test_alone_after_the_others_left),
		TEST(test_other_version),
		TEST(test_something_else),
		TEST(test_cut_short),
		TEST(test_of_another_shadow),
		TEST(test_more_history_than_before),
		TEST(test_symbolic_link),
		TEST(test_hard_link),
		TEST(test_of_another_user),
		TEST(test_not_a_file),
		TEST(test_full_file_system),
		TEST(test_read_only_directory),
		TEST(test_without_fallocate),
		TEST(test_shadow_of_another_target),
		TEST(test_same_inode_of_another_device),
		TEST(test_no_file_plays_two_parts),
		TEST(test_two_pairs_side_by_side),
		TEST(test_lengths_differ),
		TEST(test_what_is_not_there),
		TEST(test_a_directory),
		TEST(test_too_few_descriptors),
		TEST(test_look_changes_nothing),
		TEST(test_look_finds_nothing),
	};

	return cmocka_run_group_tests_name("state", tests, pair_limit, NULL);
}
