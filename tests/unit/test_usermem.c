/* usermem: copying from and to memory that may not be there. */
#include "pair.h"

#include <blkverify/usermem.h>

#define PAGE 4096u
#define PAGES 4u

/* Four pages, good ones and bad ones; what is bad is for the test to say. */
static unsigned char *area;
static unsigned char ours[PAGES * PAGE + 64];

static int make_area(void **state)
{
	(void)state;
	area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return area == MAP_FAILED ? -1 : 0;
}

static int drop_area(void **state)
{
	(void)state;
	return munmap(area, PAGES * PAGE);
}

static void protect(unsigned page, int protection)
{
	assert_int_equal(mprotect(area + page * PAGE, PAGE, protection), 0);
}

static void fill(unsigned char *bytes, size_t n, unsigned seed)
{
	pair_pattern(bytes, n, 0, seed);
}

/* Starts and lengths around page ends, where the probes differ. */
static const size_t places[] = {
	0, 1, 2, 3, 4, 5, 7, 8, 9, 100, PAGE - 9, PAGE - 8, PAGE - 7, PAGE - 5,
	PAGE - 4, PAGE - 3, PAGE - 2, PAGE - 1,
};
static const size_t lengths[] = {
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 511, PAGE - 1, PAGE, PAGE + 1,
	PAGE + 7, 2 * PAGE, 2 * PAGE + 3, 3 * PAGE,
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void check_in(size_t start, size_t n, size_t want)
{
	memset(ours, 0xee, sizeof(ours));
	assert_int_equal(bv_user_copy_in(ours, area + start, n), want);
	if (want)
		assert_memory_equal(ours, area + start, want);
	for (size_t i = want; i < sizeof(ours); i++)
		assert_int_equal(ours[i], 0xee);
}

/* Everything but what was copied stays as it was. */
static void check_out(size_t start, size_t n, size_t want, unsigned readable)
{
	static unsigned char before[PAGES * PAGE];

	memcpy(before, area, readable * PAGE);
	fill(ours, n, 77);
	assert_int_equal(bv_user_copy_out(area + start, ours, n), want);
	memcpy(before + start, ours, want);
	assert_memory_equal(area, before, readable * PAGE);
}

static void test_copy_in_good_memory(void **state)
{
	(void)state;
	fill(area, PAGES * PAGE, 1);
	for (size_t p = 0; p < COUNT(places); p++)
		for (size_t l = 0; l < COUNT(lengths); l++)
			if (places[p] + lengths[l] <= PAGES * PAGE)
				check_in(places[p], lengths[l], lengths[l]);
}

static void test_copy_out_good_memory(void **state)
{
	(void)state;
	fill(area, PAGES * PAGE, 2);
	for (size_t p = 0; p < COUNT(places); p++)
		for (size_t l = 0; l < COUNT(lengths); l++)
			if (places[p] + lengths[l] <= PAGES * PAGE)
				check_out(places[p], lengths[l], lengths[l],
					  PAGES);
}

/* Reading does not write, not even what is there already. */
static void test_copy_in_from_read_only(void **state)
{
	(void)state;
	fill(area, PAGES * PAGE, 3);
	for (unsigned page = 0; page < PAGES; page++)
		protect(page, PROT_READ);
	for (size_t p = 0; p < COUNT(places); p++)
		for (size_t l = 0; l < COUNT(lengths); l++)
			if (places[p] + lengths[l] <= PAGES * PAGE)
				check_in(places[p], lengths[l], lengths[l]);
}

static size_t until(size_t start, size_t n, size_t wall)
{
	if (start >= wall)
		return 0;
	return start + n <= wall ? n : wall - start;
}

static void test_copy_in_up_to_a_bad_page(void **state)
{
	(void)state;
	fill(area, PAGES * PAGE, 4);
	for (unsigned bad = 1; bad < PAGES; bad++) {
		protect(bad, PROT_NONE);
		for (size_t p = 0; p < COUNT(places); p++)
			for (size_t l = 0; l < COUNT(lengths); l++)
				if (places[p] + lengths[l] <= PAGES * PAGE)
					check_in(places[p], lengths[l],
						 until(places[p], lengths[l],
						       bad * PAGE));
		protect(bad, PROT_READ | PROT_WRITE);
	}
}

static void test_copy_out_up_to_a_bad_page(void **state)
{
	(void)state;
	fill(area, PAGES * PAGE, 5);
	for (unsigned bad = 1; bad < PAGES; bad++) {
		protect(bad, PROT_NONE);
		for (size_t p = 0; p < COUNT(places); p++)
			for (size_t l = 0; l < COUNT(lengths); l++)
				if (places[p] + lengths[l] <= PAGES * PAGE)
					check_out(places[p], lengths[l],
						  until(places[p], lengths[l],
							bad * PAGE),
						  bad);
		protect(bad, PROT_READ | PROT_WRITE);
	}
}

static void test_copy_out_up_to_a_read_only_page(void **state)
{
	(void)state;
	fill(area, PAGES * PAGE, 6);
	for (unsigned bad = 0; bad < PAGES; bad++) {
		protect(bad, PROT_READ);
		for (size_t p = 0; p < COUNT(places); p++)
			for (size_t l = 0; l < COUNT(lengths); l++)
				if (places[p] + lengths[l] <= PAGES * PAGE)
					check_out(places[p], lengths[l],
						  until(places[p], lengths[l],
							bad * PAGE),
						  PAGES);
		protect(bad, PROT_READ | PROT_WRITE);
	}
}

static void test_bad_from_the_first_byte(void **state)
{
	(void)state;
	protect(0, PROT_NONE);
	for (size_t p = 0; p < COUNT(places); p++)
		for (size_t l = 0; l < COUNT(lengths); l++) {
			assert_int_equal(bv_user_copy_in(ours, area + places[p],
							 lengths[l]),
					 until(places[p], lengths[l], 0));
			assert_int_equal(bv_user_copy_out(area + places[p], ours,
							  lengths[l]),
					 until(places[p], lengths[l], 0));
		}
}

/* Addresses at which nothing can be: NULL and near it, the kernel's, the last
 * ones, one that is not canonical. */
static void nowhere(void)
{
	static const uintptr_t bad[] = {
		0, 1, 3, 4, 7, 8, 9, 100, UINTPTR_MAX, UINTPTR_MAX - 1,
		UINTPTR_MAX - 7, UINTPTR_MAX - 8, UINTPTR_MAX - 4095,
		(uintptr_t)1 << 63, (uintptr_t)0x0123456789abcdef,
	};
	unsigned char bytes[64];

	for (size_t i = 0; i < COUNT(bad); i++)
		for (size_t n = 0; n <= sizeof(bytes); n++) {
			void *at = (void *)bad[i];

			CHECK(bv_user_copy_in(bytes, at, n) == 0);
			CHECK(bv_user_copy_out(at, bytes, n) == 0);
		}
}

static void test_no_memory_at_all(void **state)
{
	(void)state;
	assert_int_equal(pair_child(nowhere), 0);
}

/* A page of a mapped file past the file's end is there and cannot be used. */
static void test_past_the_end_of_a_mapped_file(void **state)
{
	unsigned char *map;
	FILE *file = tmpfile();

	(void)state;
	assert_non_null(file);
	assert_int_equal(ftruncate(fileno(file), 100), 0);
	map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
		   fileno(file), 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(bv_user_copy_in(ours, map + 50, 2 * PAGE - 50),
			 PAGE - 50);
	assert_int_equal(bv_user_copy_out(map + PAGE - 3, ours, 10), 3);
	assert_int_equal(bv_user_copy_out(map + PAGE, ours, 10), 0);
	munmap(map, 2 * PAGE);
	fclose(file);
}

/* Another thread's bytes beside ours are not written back from a stale copy:
 * the probe of a word that is ours in part must be atomic. */
static atomic_bool stop;

static void *count_up(void *byte)
{
	volatile unsigned char *at = byte;
	unsigned char value = *at;
	intptr_t lost = 0;

	while (!atomic_load(&stop)) {
		if (*at != value)
			lost++;
		*at = ++value;
	}
	return (void *)lost;
}

static void test_neighbours_are_left_alone(void **state)
{
	pthread_t thread;
	void *lost;

	(void)state;
	atomic_store(&stop, false);
	pthread_create(&thread, NULL, count_up, area + PAGE - 4);
	for (int i = 0; i < 20000; i++)
		assert_int_equal(bv_user_copy_out(area + PAGE - 3, ours, 3), 3);
	atomic_store(&stop, true);
	pthread_join(thread, &lost);
	assert_ptr_equal(lost, NULL);
}

/* ---- lists of segments ---- */

static void test_gather_in_order(void **state)
{
	struct iovec iov[] = {
		{ area + 5000, 10 }, { NULL, 0 }, { area + 100, 1 },
		{ area, 0 }, { area + 4000, 300 },
	};
	struct bv_cursor cursor = { iov, COUNT(iov), 0 };
	unsigned char want[311];

	(void)state;
	fill(area, PAGES * PAGE, 8);
	memcpy(want, area + 5000, 10);
	want[10] = area[100];
	memcpy(want + 11, area + 4000, 300);
	/* In pieces that begin and end anywhere. */
	for (size_t at = 0, step = 1; at < sizeof(want); at += step++) {
		size_t n = sizeof(want) - at < step ? sizeof(want) - at : step;

		assert_int_equal(bv_user_gather(ours + at, &cursor, n), n);
	}
	assert_memory_equal(ours, want, sizeof(want));
	assert_int_equal(bv_user_gather(ours, &cursor, 1), 0);
}

static void test_gather_stops_at_a_bad_segment(void **state)
{
	struct iovec iov[] = {
		{ area, 10 }, { area + PAGE - 6, 20 }, { area + 100, 10 },
	};
	struct bv_cursor cursor = { iov, COUNT(iov), 0 };

	(void)state;
	protect(1, PROT_NONE);
	assert_int_equal(bv_user_gather(ours, &cursor, 40), 16);
	assert_int_equal(bv_user_gather(ours, &cursor, 24), 0);
}

/* The later place in the list wins, as it does when the kernel scatters. */
static void test_scatter_one_buffer_twice(void **state)
{
	struct iovec iov[] = {
		{ area, 100 }, { area + 200, 50 }, { area, 100 }, { area + 50, 20 },
	};
	struct bv_cursor cursor = { iov, COUNT(iov), 0 };

	(void)state;
	memset(area, 0xaa, 1000);
	fill(ours, 270, 9);
	assert_int_equal(bv_user_scatter(&cursor, ours, 270), 270);
	assert_memory_equal(area, ours + 150, 50);
	assert_memory_equal(area + 50, ours + 250, 20);
	assert_memory_equal(area + 70, ours + 220, 30);
	assert_memory_equal(area + 200, ours + 100, 50);
	for (int i = 0; i < 100; i++)
		assert_int_equal(area[100 + i], 0xaa);
}

static void test_scatter_stops_at_a_bad_segment(void **state)
{
	struct iovec iov[] = {
		{ area, 10 }, { area + PAGE, 20 }, { area + 100, 10 },
	};
	struct bv_cursor cursor = { iov, COUNT(iov), 0 };

	(void)state;
	memset(area, 0xaa, 200);
	protect(1, PROT_READ);
	fill(ours, 40, 10);
	assert_int_equal(bv_user_scatter(&cursor, ours, 40), 10);
	assert_memory_equal(area, ours, 10);
	assert_int_equal(area[10], 0xaa);
	assert_int_equal(area[100], 0xaa);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_area, drop_area)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_copy_in_good_memory),
		TEST(test_copy_out_good_memory),
		TEST(test_copy_in_from_read_only),
		TEST(test_copy_in_up_to_a_bad_page),
		TEST(test_copy_out_up_to_a_bad_page),
		TEST(test_copy_out_up_to_a_read_only_page),
		TEST(test_bad_from_the_first_byte),
		TEST(test_no_memory_at_all),
		TEST(test_past_the_end_of_a_mapped_file),
		TEST(test_neighbours_are_left_alone),
		TEST(test_gather_in_order),
		TEST(test_gather_stops_at_a_bad_segment),
		TEST(test_scatter_one_buffer_twice),
		TEST(test_scatter_stops_at_a_bad_segment),
	};

	return cmocka_run_group_tests_name("usermem", tests, pair_limit, NULL);
}
