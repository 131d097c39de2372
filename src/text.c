/* text: building one message in fixed storage. */
#include <blkverify/text.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

void text_clear(struct bv_text *t)
{
	/* The other bytes stay: wiping 6 KiB for every line is a waste. */
	t->length = 0;
	t->cut = false;
	t->bytes[0] = '\0';
}

void text_bytes(struct bv_text *t, const char *bytes, size_t n)
{
	size_t room = sizeof(t->bytes) - 1 - t->length;

	if (t->cut)
		return;
	if (n > room) {
		n = room;
		t->cut = true;
	}
	if (n)
		memcpy(t->bytes + t->length, bytes, n);
	t->length += n;
	if (t->cut)
		memcpy(t->bytes + t->length - 3, "...", 3);
	t->bytes[t->length] = '\0';
}

void text_add(struct bv_text *t, const char *string)
{
	text_bytes(t, string, strlen(string));
}

void text_begin(struct bv_text *t, const char *string)
{
	text_clear(t);
	text_add(t, string);
}

void text_char(struct bv_text *t, char c)
{
	text_bytes(t, &c, 1);
}

void text_u64(struct bv_text *t, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	text_bytes(t, digits + at, sizeof(digits) - at);
}

void text_i64(struct bv_text *t, int64_t value)
{
	if (value >= 0) {
		text_u64(t, (uint64_t)value);
		return;
	}
	text_char(t, '-');
	/* Negated as unsigned: -INT64_MIN does not exist. */
	text_u64(t, 0 - (uint64_t)value);
}

void text_range(struct bv_text *t, uint64_t first, uint64_t last)
{
	text_u64(t, first);
	text_char(t, '-');
	text_u64(t, last);
}

void text_hex(struct bv_text *t, uint64_t value, unsigned digits)
{
	static const char digit[] = "0123456789abcdef";
	char out[16];
	size_t at = sizeof(out);

	if (digits > sizeof(out))
		digits = sizeof(out);
	do {
		out[--at] = digit[value & 15];
		value >>= 4;
	} while (value || sizeof(out) - at < digits);
	text_bytes(t, out + at, sizeof(out) - at);
}

void text_quoted(struct bv_text *t, const char *string)
{
	text_quoted_bytes(t, string, strlen(string));
}

void text_quoted_bytes(struct bv_text *t, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == '\n') {
			text_add(t, "\\n");
		} else if (c == '\t') {
			text_add(t, "\\t");
		} else if (c == '\\') {
			text_add(t, "\\\\");
		} else if (c < 0x20 || c == 0x7f) {
			text_add(t, "\\x");
			text_hex(t, c, 2);
		} else {
			text_char(t, (char)c);
		}
	}
}

/* glibc has strerrorname_np since 2.32 only, and it is not promised to be
 * async-signal-safe. */
static const char *errno_name(int error)
{
#define NAME(e) case e: return #e
	switch (error) {
	NAME(EPERM); NAME(ENOENT); NAME(ESRCH); NAME(EINTR); NAME(EIO);
	NAME(ENXIO); NAME(E2BIG); NAME(ENOEXEC); NAME(EBADF); NAME(ECHILD);
	NAME(EAGAIN); NAME(ENOMEM); NAME(EACCES); NAME(EFAULT);
	NAME(ENOTBLK); NAME(EBUSY); NAME(EEXIST); NAME(EXDEV);
	NAME(ENODEV); NAME(ENOTDIR); NAME(EISDIR); NAME(EINVAL);
	NAME(ENFILE); NAME(EMFILE); NAME(ENOTTY); NAME(ETXTBSY);
	NAME(EFBIG); NAME(ENOSPC); NAME(ESPIPE); NAME(EROFS); NAME(EMLINK);
	NAME(EPIPE); NAME(EDOM); NAME(ERANGE); NAME(EDEADLK);
	NAME(ENAMETOOLONG); NAME(ENOLCK); NAME(ENOSYS); NAME(ENOTEMPTY);
	NAME(ELOOP); NAME(ENOMSG); NAME(EIDRM); NAME(ECHRNG);
	NAME(EL2NSYNC); NAME(EL3HLT); NAME(EL3RST); NAME(ELNRNG);
	NAME(EUNATCH); NAME(ENOCSI); NAME(EL2HLT); NAME(EBADE);
	NAME(EBADR); NAME(EXFULL); NAME(ENOANO); NAME(EBADRQC);
	NAME(EBADSLT); NAME(EBFONT); NAME(ENOSTR); NAME(ENODATA);
	NAME(ETIME); NAME(ENOSR); NAME(ENONET); NAME(ENOPKG);
	NAME(EREMOTE); NAME(ENOLINK); NAME(EADV); NAME(ESRMNT);
	NAME(ECOMM); NAME(EPROTO); NAME(EMULTIHOP); NAME(EDOTDOT);
	NAME(EBADMSG); NAME(EOVERFLOW); NAME(ENOTUNIQ); NAME(EBADFD);
	NAME(EREMCHG); NAME(ELIBACC); NAME(ELIBBAD); NAME(ELIBSCN);
	NAME(ELIBMAX); NAME(ELIBEXEC); NAME(EILSEQ); NAME(ERESTART);
	NAME(ESTRPIPE); NAME(EUSERS); NAME(ENOTSOCK);
	NAME(EDESTADDRREQ); NAME(EMSGSIZE); NAME(EPROTOTYPE);
	NAME(ENOPROTOOPT); NAME(EPROTONOSUPPORT); NAME(ESOCKTNOSUPPORT);
	NAME(EOPNOTSUPP); NAME(EPFNOSUPPORT); NAME(EAFNOSUPPORT);
	NAME(EADDRINUSE); NAME(EADDRNOTAVAIL); NAME(ENETDOWN);
	NAME(ENETUNREACH); NAME(ENETRESET); NAME(ECONNABORTED);
	NAME(ECONNRESET); NAME(ENOBUFS); NAME(EISCONN); NAME(ENOTCONN);
	NAME(ESHUTDOWN); NAME(ETOOMANYREFS); NAME(ETIMEDOUT);
	NAME(ECONNREFUSED); NAME(EHOSTDOWN); NAME(EHOSTUNREACH);
	NAME(EALREADY); NAME(EINPROGRESS); NAME(ESTALE); NAME(EUCLEAN);
	NAME(ENOTNAM); NAME(ENAVAIL); NAME(EISNAM); NAME(EREMOTEIO);
	NAME(EDQUOT); NAME(ENOMEDIUM); NAME(EMEDIUMTYPE);
	NAME(ECANCELED); NAME(ENOKEY); NAME(EKEYEXPIRED);
	NAME(EKEYREVOKED); NAME(EKEYREJECTED); NAME(EOWNERDEAD);
	NAME(ENOTRECOVERABLE); NAME(ERFKILL); NAME(EHWPOISON);
	default: return NULL;
	}
#undef NAME
}

void text_errno(struct bv_text *t, int error)
{
	const char *name = errno_name(error);

	if (name)
		text_add(t, name);
	else
		text_i64(t, error);
}

static bool is_leap(uint64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static void two_digits(struct bv_text *t, char before, uint64_t value)
{
	text_char(t, before);
	text_char(t, (char)('0' + value / 10 % 10));
	text_char(t, (char)('0' + value % 10));
}

void text_time(struct bv_text *t, uint64_t seconds)
{
	static const unsigned char days[] = { 31, 28, 31, 30, 31, 30,
					      31, 31, 30, 31, 30, 31 };
	/* 400 years always have as many days */
	uint64_t day = seconds / 86400, era = day / 146097;
	uint64_t year = 1970 + era * 400;
	unsigned month = 0, length;

	day -= era * 146097;
	for (; day >= (length = is_leap(year) ? 366 : 365); year++)
		day -= length;
	for (; day >= (length = days[month] + (month == 1 && is_leap(year)));
	     month++)
		day -= length;
	text_u64(t, year);
	two_digits(t, '-', month + 1);
	two_digits(t, '-', day + 1);
	two_digits(t, ' ', seconds / 3600 % 24);
	two_digits(t, ':', seconds / 60 % 60);
	two_digits(t, ':', seconds % 60);
	text_add(t, " UTC");
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static bool same_letter(char a, char b)
{
	return a == b || (a >= 'a' && a <= 'z' && a - 'a' + 'A' == b);
}

unsigned text_edits(const char *given, size_t n, const char *name)
{
	unsigned row[TEXT_LONGEST_NAME + 1], corner, above;
	size_t length = strlen(name);

	if (n > TEXT_LONGEST_NAME || length > TEXT_LONGEST_NAME)
		return UINT_MAX;
	for (unsigned j = 0; j <= length; j++)
		row[j] = j;
	for (unsigned i = 0; i < n; i++) {
		corner = row[0];
		row[0] = i + 1;
		for (size_t j = 0; j < length; j++) {
			above = row[j + 1];
			corner += !same_letter(given[i], name[j]);
			row[j + 1] = least(corner,
					   least(above, row[j]) + 1);
			corner = above;
		}
	}
	return row[length];
}
