package org.pyenvd.flink;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.ErrorInfo;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.io.FileNotFoundException;

/** Why a call failed. */
final class Failure {
    private static final String DRAINING = "DRAINING";

    private final Status status;
    /** One of pyenvd's reasons; empty: it was not the daemon that said so. */
    final String reason;
    /** The input to blame, as it was given; empty: none, or not one alone. */
    final String source;

    private Failure(Status status, ErrorInfo info) {
        this.status = status;
        this.reason = info.getReason();
        this.source = info.getMetadataOrDefault("source", "");
    }

    static Failure of(StatusRuntimeException e) {
        return new Failure(e.getStatus(), infoOf(e));
    }

    private static ErrorInfo infoOf(StatusRuntimeException e) {
        com.google.rpc.Status details = StatusProto.fromThrowable(e);

        if (details == null) {
            return ErrorInfo.getDefaultInstance();
        }
        for (Any detail : details.getDetailsList()) {
            try {
                if (detail.is(ErrorInfo.class)) {
                    return detail.unpack(ErrorInfo.class);
                }
            } catch (InvalidProtocolBufferException malformed) {
                // What is left to tell is the status.
            }
        }
        return ErrorInfo.getDefaultInstance();
    }

    /** There is no daemon, or none that makes environments; else it has refused this one. */
    boolean isAbsence() {
        switch (status.getCode()) {
            case UNAVAILABLE:
                return reason.isEmpty() || reason.equals(DRAINING);
            case UNIMPLEMENTED:
                return true;
            default:
                return false;
        }
    }

    /** The daemon cannot read one of the inputs. */
    boolean isAboutSource() {
        return reason.equals("SOURCE_NOT_FOUND") || reason.equals("SOURCE_UNREADABLE");
    }

    /** The daemon's own words, where it had a say; else what the system says of its socket. */
    String words() {
        Throwable cause = status.getCause();

        if (reason.isEmpty() && cause instanceof FileNotFoundException) {
            return "there is no such socket";
        }
        if (reason.isEmpty() && cause != null && cause.getMessage() != null) {
            return cause.getMessage();
        }
        return status.getDescription() == null ? status.getCode().name() : status.getDescription();
    }
}
