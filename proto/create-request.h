#pragma once
/*
 * A CreateEnvironmentRequest as a spec. Everything that came in is validated here; what
 * core gets is right, or is a bug. Pure.
 */
#include "proto/spec.h"
#include "pyenvd.pb-c.h"

int create_request_to_spec(
	const Pyenvd__V1__CreateEnvironmentRequest *wire, struct spec *ret, struct error *err);
/* Fills what Flink's configuration says, which @wire has, of a @spec that has all the
 * rest of it. */
int create_request_fill_flink(
	const Pyenvd__V1__CreateEnvironmentRequest *wire, struct spec *spec, struct error *err);
int create_request_to_requirements(
	const Pyenvd__V1__Requirements *wire, struct spec_requirements *ret, struct error *err);
