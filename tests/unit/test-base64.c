#include "base/base64.h"

#include <criterion/criterion.h>
#include <errno.h>

static void expect(const char *plain, const char *padded)
{
	size_t size = strcspn(padded, "=");
	_cleanup_buffer_ struct buffer text = { 0 }, back = { 0 }, again = { 0 };

	buffer_append_text(&text, "before");
	base64_encode((const uint8_t *)plain, strlen(plain), &text);
	buffer_consume(&text, 6);
	cr_expect_eq(text.size, size, "'%s'", plain);
	cr_expect_arr_eq(text.data, padded, size, "'%s'", plain);
	cr_expect_eq(base64_decode(padded, size, &back), 0, "'%s'", padded);
	cr_expect_eq(base64_decode(padded, strlen(padded), &again), 0, "'%s'", padded);
	cr_expect_eq(back.size, strlen(plain), "'%s'", padded);
	cr_expect_eq(again.size, strlen(plain), "'%s'", padded);
	cr_expect_arr_eq(back.data, plain, strlen(plain), "'%s'", padded);
}

Test(base64, the_vectors_of_the_rfc)
{
	expect("", "");
	expect("f", "Zg==");
	expect("fo", "Zm8=");
	expect("foo", "Zm9v");
	expect("foob", "Zm9vYg==");
	expect("fooba", "Zm9vYmE=");
	expect("foobar", "Zm9vYmFy");
	expect("\xfb\xff\xbf", "+/+/");
}

Test(base64, other_letters_are_refused)
{
	_cleanup_buffer_ struct buffer bytes = { 0 };

	cr_expect_eq(base64_decode("Zm-v", 4, &bytes), -EBADMSG);
	cr_expect_eq(base64_decode("Z=9v", 4, &bytes), -EBADMSG);
	cr_expect_eq(base64_decode("Zm9\n", 4, &bytes), -EBADMSG);
}
