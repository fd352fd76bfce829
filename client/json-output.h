#pragma once
/*
 * Any message of pyenvd.proto as JSON. The names are those of the .proto; every field is
 * there, whatever its value. Enums are their names (a number that has none stays
 * one), all numbers are JSON numbers (also those of 64 bits: proto3's own mapping
 * makes texts of them, but none here reaches 2^53 in earnest), maps are objects,
 * bytes are base64, and a message that is not set is null, also within a oneof.
 * Any thread.
 */
#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stdio.h>

/* A new reference. */
json_t *json_output_message(const ProtobufCMessage *message);

/* Prints it, with a newline, and takes the reference. */
void json_output_print(json_t *value, FILE *file);
