/* alias: which devices share a target's storage, by what sysfs tells: here, a
 * tree of our own that is made like it. */
#include "pair.h"

#include <sys/sysmacros.h>

#include <blkverify/alias.h>

/* Block devices of the tree: MAJOR 200, by minor. */
#define MAJOR 200

static char tree[200];

static void make(const char *format, ...)
{
	char name[400], *slash = name;
	va_list list;

	va_start(list, format);
	vsnprintf(name, sizeof(name), format, list);
	va_end(list);
	while ((slash = strchr(slash + 1, '/'))) {
		*slash = '\0';
		mkdir(name, 0700);
		*slash = '/';
	}
}

/* A file of the tree, with one line in it. */
static void tell(const char *content, const char *format, ...)
{
	char name[400];
	va_list list;
	int fd;

	va_start(list, format);
	vsnprintf(name, sizeof(name), format, list);
	va_end(list);
	make("%s", name);
	fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	assert_int_equal(write(fd, "\n", 1), 1);
	close(fd);
}

static void device(unsigned minor)
{
	char number[32];

	snprintf(number, sizeof(number), "%d:%u", MAJOR, minor);
	tell(number, "%s%d:%u/dev", tree, MAJOR, minor);
}

/* As in sysfs, a partition's directory is in its disk's, and the list of
 * numbers has links to both. */
static void partition(unsigned minor, unsigned disk)
{
	char number[32], name[300], link[300];

	snprintf(number, sizeof(number), "%d:%u", MAJOR, minor);
	snprintf(name, sizeof(name), "%s%d:%u/p%u", tree, MAJOR, disk, minor);
	snprintf(link, sizeof(link), "%s%s", tree, number);
	tell(number, "%s/dev", name);
	tell("1", "%s/partition", name);
	assert_int_equal(symlink(name, link), 0);
}

static void slave(unsigned minor, unsigned of)
{
	char number[32];

	snprintf(number, sizeof(number), "%d:%u", MAJOR, of);
	tell(number, "%s%d:%u/slaves/s%u/dev", tree, MAJOR, minor, of);
}

static void loop(unsigned minor, const char *file)
{
	device(minor);
	tell(file, "%s%d:%u/loop/backing_file", tree, MAJOR, minor);
}

static struct bv_disk *alias(unsigned minor)
{
	struct stat st = { .st_mode = S_IFBLK | 0600,
			   .st_rdev = makedev(MAJOR, minor) };

	return bv_alias_of(&st);
}

/* The target becomes a block device of the tree. */
static void target_is(unsigned minor)
{
	pair.disk->block = true;
	pair.disk->device = makedev(MAJOR, minor);
}

static int start(void **state)
{
	int result = pair_begin(state);

	snprintf(tree, sizeof(tree), "%s/sys/", pair.directory);
	bv_alias_sysfs = tree;
	return result;
}

static int end(void **state)
{
	char command[300];

	bv_alias_sysfs = "/sys/dev/block/";
	snprintf(command, sizeof(command), "rm -rf '%s'", tree);
	if (system(command) != 0)
		return -1;
	return pair_end(state);
}

static void test_loop_over_the_target(void **state)
{
	(void)state;
	loop(0, pair.target);
	loop(1, pair.shadow);
	loop(2, "/nowhere (deleted)");
	device(3);
	assert_ptr_equal(alias(0), pair.disk);
	assert_null(alias(1));
	assert_null(alias(2));
	assert_null(alias(3));
	/* one that sysfs does not tell of */
	assert_null(alias(99));
}

static void test_by_another_path(void **state)
{
	char name[200];

	(void)state;
	snprintf(name, sizeof(name), "%s/name", pair.directory);
	assert_int_equal(link(pair.target, name), 0);
	loop(0, name);
	assert_ptr_equal(alias(0), pair.disk);
}

static void test_partitions(void **state)
{
	(void)state;
	loop(0, pair.target);
	partition(1, 0);
	device(8);
	partition(9, 8);
	assert_ptr_equal(alias(1), pair.disk);
	assert_null(alias(9));
	/* of a target that is a disk, and the disk that a target is part of */
	target_is(8);
	assert_ptr_equal(alias(9), pair.disk);
	assert_null(alias(1));
	target_is(9);
	assert_ptr_equal(alias(8), pair.disk);
	/* but not the one beside it */
	partition(10, 8);
	assert_null(alias(10));
}

static void test_devices_on_devices(void **state)
{
	(void)state;
	loop(0, pair.target);
	partition(1, 0);
	device(2);
	device(3);
	slave(4, 2);
	slave(4, 1);
	slave(5, 4);
	slave(6, 2);
	slave(6, 3);
	assert_ptr_equal(alias(4), pair.disk);
	assert_ptr_equal(alias(5), pair.disk);
	assert_null(alias(6));
	target_is(3);
	assert_ptr_equal(alias(6), pair.disk);
	assert_null(alias(5));
	/* what stands on the same third device is none */
	target_is(5);
	assert_null(alias(6));
	assert_ptr_equal(alias(2), pair.disk);
}

static void test_circles_end(void **state)
{
	(void)state;
	slave(0, 1);
	slave(1, 0);
	for (unsigned i = 10; i < 600; i++)
		slave(i, i + 1);
	assert_null(alias(0));
	assert_null(alias(10));
	/* deep, but not too deep */
	loop(400, pair.target);
	assert_ptr_equal(alias(10), pair.disk);
}

static void test_what_is_no_block_device(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(pair.shadow, &st), 0);
	assert_null(bv_alias_of(&st));
	assert_int_equal(stat("/dev/null", &st), 0);
	assert_null(bv_alias_of(&st));
	assert_ptr_equal(bv_alias_at(pair.target), pair.disk);
	assert_null(bv_alias_at(pair.shadow));
	assert_null(bv_alias_at("/nowhere"));
	assert_null(bv_alias_at((const char *)8));
}

static void test_a_shadow_that_is_the_target(void **state)
{
	static struct bv_text why;

	(void)state;
	assert_int_equal(bv_alias_check(&why), 0);
	/* the loop device that is the target has the shadow for its file */
	loop(0, pair.shadow);
	target_is(0);
	assert_int_equal(bv_alias_check(&why), -1);
	assert_non_null(strstr(why.bytes, "BLKVERIFY_SHADOW="));
	assert_non_null(strstr(why.bytes, "storage by another name"));
	loop(0, pair.log);
	assert_int_equal(bv_alias_check(&why), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(loop_over_the_target),
		TEST(by_another_path),
		TEST(partitions),
		TEST(devices_on_devices),
		TEST(circles_end),
		TEST(what_is_no_block_device),
		TEST(a_shadow_that_is_the_target),
	};

	return cmocka_run_group_tests_name("alias", tests, pair_limit, NULL);
}
