/* object: see object.h. */
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "object.h"
#include "image.h"

static void find_interpreter(struct cli_object *object)
{
	size_t size, count = 0;
	const char *raw = elf_rawfile(object->file, &size);
	GElf_Phdr p;

	elf_getphdrnum(object->file, &count);
	for (size_t i = 0; raw && i < count; i++)
		if (gelf_getphdr(object->file, (int)i, &p) &&
		    p.p_type == PT_INTERP && p.p_filesz > 0 &&
		    p.p_offset < size && p.p_filesz <= size - p.p_offset &&
		    raw[p.p_offset + p.p_filesz - 1] == '\0')
			object->interpreter = raw + p.p_offset;
}

static int note(const char ***list, size_t *count, const char *name)
{
	const char **more;

	if ((*count & (*count + 1)) == 0) {
		more = realloc(*list, (*count + 1) * 2 * sizeof(**list));
		if (!more)
			return -1;
		*list = more;
	}
	(*list)[(*count)++] = name;
	return 0;
}

static int read_symbols(struct cli_object *object, Elf_Scn *section,
			const GElf_Shdr *header)
{
	Elf_Data *data = elf_getdata(section, NULL);
	size_t count = header->sh_entsize && data ?
			       data->d_size / header->sh_entsize : 0;
	GElf_Sym symbol;

	for (size_t i = 1; i < count; i++) {
		const char *name;
		int failed;

		if (!gelf_getsym(data, (int)i, &symbol))
			return -1;
		name = elf_strptr(object->file, header->sh_link, symbol.st_name);
		if (!name || !*name ||
		    GELF_ST_BIND(symbol.st_info) == STB_LOCAL)
			continue;
		failed = symbol.st_shndx == SHN_UNDEF ?
				 note(&object->import, &object->imports, name) :
				 note(&object->export, &object->exports, name);
		if (failed)
			return -1;
	}
	return 0;
}

static void find_runtime(struct cli_object *object, Elf_Scn *section,
			 const char *name)
{
	Elf_Data *data;

	if (!strcmp(name, ".note.go.buildid") || !strcmp(name, ".go.buildinfo"))
		object->runtime = "Go";
	if (strcmp(name, ".comment") || !(data = elf_rawdata(section, NULL)))
		return;
	if (memmem(data->d_buf, data->d_size, "rustc version", 13))
		object->runtime = "Rust";
}

static int read_section(struct cli_object *object, Elf_Scn *section,
			const GElf_Ehdr *header, size_t names)
{
	GElf_Shdr s;
	const char *name;
	Elf_Data *data;

	if (!gelf_getshdr(section, &s))
		return -1;
	name = elf_strptr(object->file, names, s.sh_name);
	if (name)
		find_runtime(object, section, name);
	if (s.sh_type == SHT_DYNSYM)
		return read_symbols(object, section, &s);
	if (s.sh_type == SHT_PROGBITS && s.sh_flags & SHF_EXECINSTR) {
		data = elf_rawdata(section, NULL);
		if (!data)
			return -1;
		cli_rawcalls_add(&object->raw, header->e_machine, data->d_buf,
				 data->d_size);
	}
	return 0;
}

static int read_sections(struct cli_object *object, const GElf_Ehdr *header)
{
	Elf_Scn *section = NULL;
	size_t names, count;

	/* Without a list of sections nothing could be said of what it calls. */
	if (elf_getshdrnum(object->file, &count) < 0 || count == 0 ||
	    elf_getshdrstrndx(object->file, &names) < 0)
		return -1;
	while ((section = elf_nextscn(object->file, section)))
		if (read_section(object, section, header, names) < 0)
			return -1;
	return 0;
}

int cli_object_open(struct cli_object *object, const char *path, const char **why)
{
	GElf_Ehdr header;

	*object = (struct cli_object){ .path = path };
	object->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (object->fd < 0) {
		*why = cli_why(errno);
		return -1;
	}
	elf_version(EV_CURRENT);
	object->file = elf_begin(object->fd, ELF_C_READ_MMAP, NULL);
	if (!object->file || elf_kind(object->file) != ELF_K_ELF ||
	    !gelf_getehdr(object->file, &header)) {
		*why = "no ELF file";
	} else {
		find_interpreter(object);
		*why = "its sections cannot be read";
		if (read_sections(object, &header) == 0)
			return 0;
	}
	cli_object_close(object);
	return -1;
}

void cli_object_close(struct cli_object *object)
{
	if (object->file)
		elf_end(object->file);
	if (object->fd >= 0)
		close(object->fd);
	free(object->import);
	free(object->export);
	*object = (struct cli_object){ .fd = -1 };
}
