#include <criterion/criterion.h>

Test(tree, x)
{
}
