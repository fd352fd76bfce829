package org.pyenvd.flink;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Locale;
import java.util.function.UnaryOperator;

/**
 * What an operator says of pyenvd, in a TaskManager's environment or by system properties of the
 * same meaning, which win: PYENVD_FLINK (pyenvd.flink) and PYENVD_SOCKET (pyenvd.socket).
 */
final class Settings {
    enum Mode {
        /** By pyenvd, and by Flink's own code where there is no daemon. */
        AUTO,
        /** By pyenvd, or not at all. */
        REQUIRE,
        /** By Flink's own code. */
        OFF
    }

    private static final Path SYSTEM_SOCKET = Path.of("/run/pyenvd/pyenvd.sock");

    final Mode mode;
    final String socket;

    private Settings(Mode mode, String socket) {
        this.mode = mode;
        this.socket = socket;
    }

    static Settings current() {
        return of(System::getenv, System::getProperty, SYSTEM_SOCKET, isRoot());
    }

    static Settings of(UnaryOperator<String> variables, UnaryOperator<String> properties,
            Path systemSocket, boolean isRoot) {
        String mode = choose(properties.apply("pyenvd.flink"), variables.apply("PYENVD_FLINK"));
        String socket = choose(properties.apply("pyenvd.socket"), variables.apply("PYENVD_SOCKET"));

        if (socket.isEmpty()) {
            socket = findSocket(variables.apply("XDG_RUNTIME_DIR"), systemSocket, isRoot);
        }
        return new Settings(parseMode(mode), socket);
    }

    private static String choose(String property, String variable) {
        String text = property != null && !property.isEmpty() ? property : variable;

        return text == null ? "" : text;
    }

    private static Mode parseMode(String text) {
        if (text.isEmpty()) {
            return Mode.AUTO;
        }
        for (Mode mode : Mode.values()) {
            if (mode.name().toLowerCase(Locale.ROOT).equals(text)) {
                return mode;
            }
        }
        throw new IllegalArgumentException(
                "PYENVD_FLINK is '" + text + "', and can be auto, require or off");
    }

    /** As the other clients find it: the user's own only if there is none of the system. */
    private static String findSocket(String runtime, Path systemSocket, boolean isRoot) {
        if (isRoot || runtime == null || runtime.isEmpty() || !isMissing(systemSocket)) {
            return systemSocket.toString();
        }
        Path own = Path.of(runtime, "pyenvd", "pyenvd.sock");
        return Files.exists(own) ? own.toString() : systemSocket.toString();
    }

    /** A directory that may not be entered is there as well. */
    private static boolean isMissing(Path path) {
        try {
            Files.readAttributes(path, BasicFileAttributes.class);
            return false;
        } catch (NoSuchFileException e) {
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    private static boolean isRoot() {
        try {
            return Files.getAttribute(Path.of("/proc/self"), "unix:uid").equals(0);
        } catch (IOException | UnsupportedOperationException e) {
            return false;
        }
    }
}
