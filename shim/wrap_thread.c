/* wrap_thread: threads of the program's, armed before they run its code. */
#include <sys/mman.h>

#include <blkverify/disk.h>
#include <blkverify/thread.h>

#include "../src/raw.h"
#include "guard.h"
#include "ops.h"
#include "sigsys.h"
#include "trap.h"

/* What a new thread is to do, in a mapping that it gives back. */
struct birth {
	void *(*function)(void *);
	int (*c11)(void *);
	void *argument;
	bool blocked;                /* it believes SIGSYS to be blocked */
};

static struct birth *make_birth(void *argument)
{
	struct birth *birth = raw_mmap(NULL, sizeof(*birth),
				       PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (raw_is_error(birth))
		return NULL;
	birth->argument = argument;
	birth->blocked = bv_sigsys_blocked();
	return birth;
}

static void end_birth(struct birth *birth)
{
	raw_munmap(birth, sizeof(*birth));
}

static struct birth begin(void *data)
{
	struct birth birth = *(struct birth *)data;

	end_birth(data);
	bv_sigsys_believe(birth.blocked);
	bv_trap_thread();
	return birth;
}

static void *begin_thread(void *data)
{
	struct birth birth = begin(data);

	return birth.function(birth.argument);
}

static int begin_c11(void *data)
{
	struct birth birth = begin(data);

	return birth.c11(birth.argument);
}

static int create_armed(pthread_t *thread, const pthread_attr_t *attributes,
			void *(*function)(void *), void *argument)
{
	struct birth *birth = make_birth(argument);
	int result;

	if (!birth)
		return EAGAIN;
	birth->function = function;
	result = real_pthread_create(thread, attributes, begin_thread, birth);
	if (result)
		end_birth(birth);
	return result;
}

int op_pthread_create(const char *call, pthread_t *thread,
		      const pthread_attr_t *attributes,
		      void *(*function)(void *), void *argument)
{
	int result;

	(void)call;
	if (bv_disks == 0 || bv_thread.inside)
		return real_pthread_create(thread, attributes, function,
					   argument);
	if (bv_trap_birth_begin())
		result = create_armed(thread, attributes, function, argument);
	else
		result = real_pthread_create(thread, attributes, function,
					     argument);
	bv_trap_birth_end();
	return result;
}

static int c11_armed(thrd_t *thread, int (*function)(void *), void *argument)
{
	struct birth *birth = make_birth(argument);
	int result;

	if (!birth)
		return thrd_nomem;
	birth->c11 = function;
	result = real_thrd_create(thread, begin_c11, birth);
	if (result != thrd_success)
		end_birth(birth);
	return result;
}

int op_thrd_create(const char *call, thrd_t *thread, int (*function)(void *),
		   void *argument)
{
	int result;

	(void)call;
	if (bv_disks == 0)
		return real_thrd_create(thread, function, argument);
	if (bv_trap_birth_begin())
		result = c11_armed(thread, function, argument);
	else
		result = real_thrd_create(thread, function, argument);
	bv_trap_birth_end();
	return result;
}
