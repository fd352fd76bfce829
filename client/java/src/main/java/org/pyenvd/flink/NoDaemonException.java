package org.pyenvd.flink;

import java.io.IOException;

/** There is no daemon to ask. */
final class NoDaemonException extends IOException {
    private static final long serialVersionUID = 1L;

    NoDaemonException(String message, Throwable cause) {
        super(message, cause);
    }
}
