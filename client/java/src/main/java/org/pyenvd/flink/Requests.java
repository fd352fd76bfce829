package org.pyenvd.flink;

import java.util.Map;
import org.apache.flink.api.common.JobID;
import org.apache.flink.python.env.PythonDependencyInfo;
import org.pyenvd.v1.Archive;
import org.pyenvd.v1.CreateEnvironmentRequest;
import org.pyenvd.v1.Holder;
import org.pyenvd.v1.ProcessHolder;
import org.pyenvd.v1.PythonFile;
import org.pyenvd.v1.Requirements;

/** What Flink knows of a Flink job's Python environment, in pyenvd's words. */
final class Requests {
    private static final String BUNDLE = ".pyenv";

    private Requests() {
    }

    /** A bundle among the Python files is for pyenvd's runner: that job has no need of us. */
    static boolean hasBundle(PythonDependencyInfo info) {
        return info.getPythonFiles().values().stream().anyMatch(name -> name.endsWith(BUNDLE));
    }

    /**
     * Held by this process. The variables of systemEnv that ours are put in front of are none if
     * the Flink job wants nothing of the TaskManager's environment.
     */
    static CreateEnvironmentRequest.Builder create(
            PythonDependencyInfo info, Map<String, String> systemEnv, JobID jobId) {
        CreateEnvironmentRequest.Builder request = CreateEnvironmentRequest.newBuilder()
                .setLabel("Flink job " + jobId)
                .setPython(info.getPythonExec())
                .setPythonPath(info.getPythonPath().orElse(""))
                .setHolder(Holder.newBuilder().setProcess(ProcessHolder.getDefaultInstance()));

        info.getArchives().forEach((path, value) -> request.addArchives(
                Archive.newBuilder().setPath(path).setTargetDir(target(value))));
        info.getPythonFiles().forEach((path, name) -> request.addPythonFiles(
                PythonFile.newBuilder().setPath(path).setName(name)));
        info.getRequirementsFilePath().ifPresent(path -> request.setRequirements(
                Requirements.newBuilder().setPath(path)
                        .setPackageDirectory(info.getRequirementsCacheDir().orElse(""))));
        for (String name : new String[] {"PATH", "PYTHONPATH"}) {
            String value = systemEnv.get(name);

            if (value != null && !value.isEmpty()) {
                request.putBaseVariables(name, value);
            }
        }
        return request;
    }

    /** "name#target", or the name alone, which is the target then. */
    private static String target(String value) {
        return value.substring(value.indexOf('#') + 1);
    }
}
