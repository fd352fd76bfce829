import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.io.File;
import org.pyenvd.v1.Archive;
import org.pyenvd.v1.CreateEnvironmentRequest;
import org.pyenvd.v1.CreateEnvironmentResponse;
import org.pyenvd.v1.EnvironmentsGrpc;
import org.pyenvd.v1.ReleaseEnvironmentRequest;

/** Takes an environment, starts Python in it, and gives it back: Environment SOCKET ARCHIVE. */
public final class Environment {
    public static void main(String[] args) throws Exception {
        ManagedChannel channel = Grpc.newChannelBuilder("unix:" + args[0],
                InsecureChannelCredentials.create()).build();
        EnvironmentsGrpc.EnvironmentsBlockingStub environments =
                EnvironmentsGrpc.newBlockingStub(channel);
        CreateEnvironmentResponse lease = environments.createEnvironment(
                CreateEnvironmentRequest.newBuilder()
                        .addArchives(Archive.newBuilder().setPath(args[1]).setTargetDir("venv"))
                        .setPython("venv/bin/python").build());
        ProcessBuilder python = new ProcessBuilder(
                lease.getInterpreter(), "-c", "import sys; print(sys.prefix)").inheritIO();
        python.directory(new File(lease.getWorkingDirectory()));
        python.environment().putAll(lease.getVariablesMap());
        int status = python.start().waitFor();
        environments.releaseEnvironment(
                ReleaseEnvironmentRequest.newBuilder().setLeaseId(lease.getLeaseId()).build());
        channel.shutdown();
        System.exit(status);
    }
}
