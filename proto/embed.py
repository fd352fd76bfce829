#!/usr/bin/env python3
"""Writes a file's bytes as a C array: embed.py INPUT NAME OUTPUT.c OUTPUT.h"""
import sys

source, name, c_file, h_file = sys.argv[1:]
with open(source, 'rb') as f:
    data = f.read()
with open(h_file, 'w') as f:
    f.write('#pragma once\n#include <stddef.h>\n#include <stdint.h>\n'
            f'extern const uint8_t {name}[];\nextern const size_t {name}_size;\n')
with open(c_file, 'w') as f:
    f.write('#include "%s"\n\nconst uint8_t %s[] = {\n' % (h_file.rsplit('/', 1)[-1], name))
    for i in range(0, len(data), 16):
        f.write('\t' + ' '.join(f'{b},' for b in data[i:i + 16]) + '\n')
    f.write('};\n\nconst size_t %s_size = sizeof(%s);\n' % (name, name))
