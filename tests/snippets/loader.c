/*
 * loader HOW FILE OFFSET: loads the library late.so, from the directory where this program is, and has it read the sector at
 * OFFSET of FILE. HOW is "dlopen", "deepbind" (libc before everything that is preloaded), "dlmopen" (a namespace of
 * its own), "base" (dlmopen into the program's namespace).
 *
 * Nothing but our RUNPATH leads to the library.     build: -Wl,-rpath,$ORIGIN
 */
#include "client.h"
#include <dlfcn.h>

CALL(dlopen, void *, (const char *, int))
CALL(dlmopen, void *, (Lmid_t, const char *, int))

int main(int argc, char **argv)
{
	int (*late_read)(const char *, long long);
	void *library = NULL;

	if (argc != 4)
		usage("loader HOW FILE OFFSET");
	if (!strcmp(argv[1], "dlopen"))
		library = call_dlopen("late.so", RTLD_NOW);
	else if (!strcmp(argv[1], "deepbind"))
		library = call_dlopen("late.so", RTLD_NOW | RTLD_DEEPBIND);
	else if (!strcmp(argv[1], "dlmopen"))
		library = call_dlmopen(LM_ID_NEWLM, "late.so", RTLD_NOW);
	else if (!strcmp(argv[1], "base"))
		library = call_dlmopen(LM_ID_BASE, argv[0], RTLD_NOW | RTLD_NOLOAD | RTLD_DEEPBIND);
	else
		usage("unknown way");
	if (!strcmp(argv[1], "base"))
		return 0;
	if (!library) {
		printf("ret=-1 %s\n", dlerror());
		return 1;
	}
	late_read = (int (*)(const char *, long long))dlsym(library, "late_read");
	if (!late_read)
		trouble("dlsym");
	return result(late_read(argv[2], number(argv[3])));
}
