package org.pyenvd.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SettingsTest {
    @TempDir
    Path directory;

    private Settings of(Map<String, String> variables, Map<String, String> properties) {
        return Settings.of(variables::get, properties::get, directory.resolve("system"), false);
    }

    private String socketOf(Map<String, String> variables) {
        return of(variables, Map.of()).socket;
    }

    @Test
    void withoutAWordPyenvdIsUsedWhereItIs() {
        assertEquals(Settings.Mode.AUTO, of(Map.of(), Map.of()).mode);
        assertEquals(Settings.Mode.AUTO, of(Map.of("PYENVD_FLINK", ""), Map.of()).mode);
    }

    @Test
    void aPropertyWinsOverAVariable() {
        Settings it = of(Map.of("PYENVD_FLINK", "off", "PYENVD_SOCKET", "/a"),
                Map.of("pyenvd.flink", "require", "pyenvd.socket", "/b"));

        assertEquals(Settings.Mode.REQUIRE, it.mode);
        assertEquals("/b", it.socket);
        assertEquals(Settings.Mode.OFF, of(Map.of("PYENVD_FLINK", "off"), Map.of()).mode);
    }

    @Test
    void anotherModeIsRefusedByName() {
        Exception e = assertThrows(IllegalArgumentException.class,
                () -> of(Map.of("PYENVD_FLINK", "On"), Map.of()));

        assertTrue(e.getMessage().contains("'On'"), e.getMessage());
    }

    @Test
    void theSocketIsFoundAsByOtherClients() throws Exception {
        Path system = directory.resolve("system");
        Path own = directory.resolve("pyenvd/pyenvd.sock");
        Map<String, String> runtime = Map.of("XDG_RUNTIME_DIR", directory.toString());

        assertEquals(system.toString(), socketOf(Map.of()));
        assertEquals(system.toString(), socketOf(runtime));
        Files.createDirectory(own.getParent());
        Files.createFile(own);
        assertEquals(own.toString(), socketOf(runtime));
        assertEquals(system.toString(),
                Settings.of(runtime::get, name -> null, system, true).socket);
        Files.createFile(system);
        assertEquals(system.toString(), socketOf(runtime));
        assertEquals("/x", socketOf(Map.of("PYENVD_SOCKET", "/x")));
    }
}
