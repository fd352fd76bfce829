package org.pyenvd.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.flink.api.common.JobID;
import org.apache.flink.python.env.PythonDependencyInfo;
import org.junit.jupiter.api.Test;
import org.pyenvd.v1.Archive;
import org.pyenvd.v1.CreateEnvironmentRequest;
import org.pyenvd.v1.PythonFile;

class RequestsTest {
    private static final String PYTHON = "venv/bin/python";

    private static PythonDependencyInfo info(Map<String, String> files, Map<String, String> archives) {
        return new PythonDependencyInfo(files, null, null, archives, PYTHON);
    }

    private static CreateEnvironmentRequest request(PythonDependencyInfo info) {
        return Requests.create(info, Map.of(), new JobID()).build();
    }

    @Test
    void anArchiveHasItsTargetBehindTheFirstHashOrItsOwnName() {
        Map<String, String> targets = request(info(Map.of(), Map.of(
                "/blob/1", "a.zip#venv", "/blob/2", "b.tgz", "/blob/3", "c.zip#d#e")))
                .getArchivesList().stream()
                .collect(Collectors.toMap(Archive::getPath, Archive::getTargetDir));

        assertEquals(Map.of("/blob/1", "venv", "/blob/2", "b.tgz", "/blob/3", "d#e"), targets);
    }

    @Test
    void filesKeepTheirOrderAndTheirNames() {
        Map<String, String> files = new LinkedHashMap<>();

        files.put("/blob/2", "z.py");
        files.put("/blob/1", "a.zip");
        CreateEnvironmentRequest it = request(info(files, Map.of()));
        assertEquals(List.of("/blob/2", "/blob/1"), it.getPythonFilesList().stream()
                .map(PythonFile::getPath).collect(Collectors.toList()));
        assertEquals(List.of("z.py", "a.zip"), it.getPythonFilesList().stream()
                .map(PythonFile::getName).collect(Collectors.toList()));
    }

    @Test
    void requirementsInterpreterAndPathAreAsFlinkHasThem() {
        CreateEnvironmentRequest it = request(new PythonDependencyInfo(
                Map.of(), "/blob/r", "/blob/packages", Map.of(), PYTHON, "process", "/x:/y"));

        assertEquals("/blob/r", it.getRequirements().getPath());
        assertEquals("/blob/packages", it.getRequirements().getPackageDirectory());
        assertEquals(PYTHON, it.getPython());
        assertEquals("/x:/y", it.getPythonPath());
        assertTrue(it.getHolder().hasProcess());
        assertFalse(request(info(Map.of(), Map.of())).hasRequirements());
    }

    @Test
    void ofTheSystemsVariablesTwoCount() {
        PythonDependencyInfo info = info(Map.of(), Map.of());
        CreateEnvironmentRequest it = Requests.create(
                info, Map.of("PATH", "/bin", "PYTHONPATH", "", "SECRET", "x"), new JobID()).build();

        assertEquals(Map.of("PATH", "/bin"), it.getBaseVariablesMap());
        assertEquals(Map.of(), request(info).getBaseVariablesMap());
        assertEquals(Map.of(), it.getVariablesMap());
    }

    @Test
    void aBundleIsForTheRunner() {
        assertTrue(Requests.hasBundle(info(Map.of("/blob/1", "env.pyenv"), Map.of())));
        assertFalse(Requests.hasBundle(info(Map.of("/blob/1", "a.py"), Map.of())));
    }
}
