package org.pyenvd.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import com.google.rpc.Code;
import com.google.rpc.ErrorInfo;
import com.google.rpc.Status;
import io.grpc.protobuf.StatusProto;
import java.io.IOException;
import org.junit.jupiter.api.Test;

class FailureTest {
    private static Failure said(Code code, String reason) {
        return Failure.of(StatusProto.toStatusRuntimeException(Status.newBuilder()
                .setCode(code.getNumber()).setMessage("words").addDetails(Any.pack(
                        ErrorInfo.newBuilder().setReason(reason).setDomain("pyenvd")
                                .putMetadata("source", "/x").build())).build()));
    }

    @Test
    void aDaemonThatIsNotThereIsAbsent() {
        Failure it = Failure.of(io.grpc.Status.UNAVAILABLE.withDescription("io exception")
                .withCause(new IOException("Connection refused")).asRuntimeException());

        assertTrue(it.isAbsence());
        assertEquals("Connection refused", it.words());
        assertTrue(Failure.of(io.grpc.Status.UNIMPLEMENTED.asRuntimeException()).isAbsence());
        assertTrue(said(Code.UNAVAILABLE, "DRAINING").isAbsence());
    }

    @Test
    void aDaemonThatRefusesIsThere() {
        assertFalse(said(Code.UNAVAILABLE, "NETWORK_FAILED").isAbsence());
        assertFalse(said(Code.INVALID_ARGUMENT, "ARCHIVE_CORRUPT").isAbsence());
        assertEquals("words", said(Code.INVALID_ARGUMENT, "ARCHIVE_CORRUPT").words());
    }

    @Test
    void itNamesWhatItIsAbout() {
        Failure it = said(Code.NOT_FOUND, "SOURCE_NOT_FOUND");

        assertTrue(it.isAboutSource());
        assertEquals("/x", it.source);
        assertFalse(said(Code.INVALID_ARGUMENT, "ARCHIVE_CORRUPT").isAboutSource());
    }
}
