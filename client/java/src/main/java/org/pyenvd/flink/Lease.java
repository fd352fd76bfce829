package org.pyenvd.flink;

import com.google.common.util.concurrent.Uninterruptibles;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.pyenvd.v1.ConnectionHolder;
import org.pyenvd.v1.CreateEnvironmentRequest;
import org.pyenvd.v1.CreateEnvironmentResponse;
import org.pyenvd.v1.CreateRetrievalTokenRequest;
import org.pyenvd.v1.Holder;
import org.pyenvd.v1.ReleaseEnvironmentRequest;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A lease on an environment, which is this process's until it is closed. */
final class Lease implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Lease.class);
    private static final int PATIENCE_SECONDS = 5;

    private final Connection connection;
    private final CreateEnvironmentResponse environment;
    /** Null: the process holds it. */
    private final Hold hold;

    private Lease(Connection connection, CreateEnvironmentResponse environment, Hold hold) {
        this.connection = connection;
        this.environment = environment;
        this.hold = hold;
    }

    /**
     * Waits for as long as it takes to prepare the environment, unless it is interrupted. The
     * connection stays the caller's if this fails.
     */
    static Lease take(Connection connection, CreateEnvironmentRequest request)
            throws IOException, InterruptedException {
        CreateEnvironmentRequest.Builder asking = request.toBuilder();
        CreateEnvironmentResponse environment = create(connection, asking);
        Hold hold = null;

        if (asking.getHolder().hasConnection()) {
            hold = new Hold(connection, environment.getLeaseId());
            hold.begin();
        }
        return new Lease(connection, environment, hold);
    }

    private static CreateEnvironmentResponse create(
            Connection connection, CreateEnvironmentRequest.Builder asking)
            throws IOException, InterruptedException {
        while (true) {
            try {
                return connection.blocking().createEnvironment(asking.build());
            } catch (StatusRuntimeException e) {
                Failure failure = Failure.of(e);

                if (Thread.interrupted()) {
                    throw new InterruptedException(
                            "interrupted while pyenvd prepared the Python environment");
                }
                if (failure.isAbsence()) {
                    throw new NoDaemonException("no pyenvd at '" + connection.socket() + "': "
                            + failure.words(), e);
                }
                if (!amend(connection, asking, failure)) {
                    throw new IOException("pyenvd cannot prepare the Python environment: "
                            + failure.words(), e);
                }
            }
        }
    }

    /** True: ask again. What is amended is so once, so this comes to an end. */
    private static boolean amend(
            Connection connection, CreateEnvironmentRequest.Builder asking, Failure failure)
            throws IOException, InterruptedException {
        if (failure.reason.equals("HOLDER_NOT_VISIBLE") && !asking.getHolder().hasConnection()) {
            asking.setHolder(
                    Holder.newBuilder().setConnection(ConnectionHolder.getDefaultInstance()));
            return true;
        }
        return failure.isAboutSource()
                && new Uploads(connection).replace(asking, failure.source);
    }

    CreateEnvironmentResponse environment() {
        return environment;
    }

    boolean isHeldByProcess() {
        return hold == null;
    }

    String createRetrievalToken() throws IOException {
        try {
            return connection.blocking().withWaitForReady()
                    .withDeadlineAfter(PATIENCE_SECONDS, TimeUnit.SECONDS).createRetrievalToken(
                    CreateRetrievalTokenRequest.newBuilder()
                            .setLeaseId(environment.getLeaseId()).build()).getRetrievalToken();
        } catch (StatusRuntimeException e) {
            throw new IOException(
                    "pyenvd cannot make a retrieval token: " + Failure.of(e).words(), e);
        }
    }

    /** Also in a thread that is being interrupted, as those of a cancelled Flink job are. */
    @Override
    public void close() {
        if (hold != null) {
            hold.release();
        }
        try {
            Uninterruptibles.getUninterruptibly(connection.future().withWaitForReady()
                    .withDeadlineAfter(PATIENCE_SECONDS, TimeUnit.SECONDS)
                    .releaseEnvironment(ReleaseEnvironmentRequest.newBuilder()
                            .setLeaseId(environment.getLeaseId()).build()));
        } catch (ExecutionException e) {
            LOG.warn("pyenvd: cannot give back the lease {}: it ends when its holder does",
                    environment.getLeaseId(), e.getCause());
        } finally {
            connection.close();
        }
    }
}
