package org.pyenvd.flink;

import io.grpc.Status;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import org.pyenvd.v1.HoldLeaseEvent;
import org.pyenvd.v1.HoldLeaseRequest;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Holds a lease by a stream, where the daemon does not see this process. When the daemon restarts,
 * the lease waits for a while to be held again.
 */
final class Hold implements ClientResponseObserver<HoldLeaseRequest, HoldLeaseEvent> {
    private static final Logger LOG = LoggerFactory.getLogger(Hold.class);

    private static final int PAUSE_MS = 200;

    private final Connection connection;
    private final HoldLeaseRequest request;
    private ClientCallStreamObserver<HoldLeaseRequest> call;
    private boolean isReleased;

    Hold(Connection connection, String leaseId) {
        this.connection = connection;
        request = HoldLeaseRequest.newBuilder().setLeaseId(leaseId).build();
    }

    void begin() {
        if (!isReleased()) {
            connection.async().withWaitForReady().holdLease(request, this);
        }
    }

    private synchronized boolean isReleased() {
        return isReleased;
    }

    synchronized void release() {
        isReleased = true;
        if (call != null) {
            call.cancel("released", null);
        }
    }

    @Override
    public synchronized void beforeStart(ClientCallStreamObserver<HoldLeaseRequest> begun) {
        call = begun;
    }

    @Override
    public void onNext(HoldLeaseEvent event) {
        // It is held.
    }

    @Override
    public void onError(Throwable e) {
        if (isReleased()) {
            return;
        }
        if (Status.fromThrowable(e).getCode() == Status.Code.UNAVAILABLE) {
            // One that is stopping would refuse it at once, again and again.
            connection.later(this::begin, PAUSE_MS);
        } else {
            LOG.warn("pyenvd: the lease {} is no longer held", request.getLeaseId(), e);
        }
    }

    @Override
    public void onCompleted() {
        LOG.warn("pyenvd: the lease {} is no longer held", request.getLeaseId());
    }
}
