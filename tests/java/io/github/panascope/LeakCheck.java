package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.panascope.torch.OpenHandles;
import io.github.panascope.torch.Torch;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Fails a test that leaves a native handle behind. With {@code -Dpanascope.traceHandles=true} it prints where the
 * handles were opened.
 */
public final class LeakCheck implements BeforeEachCallback, AfterEachCallback {
    private static final ExtensionContext.Namespace NAMESPACE = ExtensionContext.Namespace.create(LeakCheck.class);

    @Override
    public void beforeEach(ExtensionContext context) {
        context.getStore(NAMESPACE).put("live", Torch.liveHandles());
        context.getStore(NAMESPACE).put("mark", OpenHandles.mark());
    }

    @Override
    public void afterEach(ExtensionContext context) {
        long before = context.getStore(NAMESPACE).get("live", Long.class);
        long mark = context.getStore(NAMESPACE).get("mark", Long.class);
        assertEquals(
                before,
                Torch.liveHandles(),
                () -> "native handles alive after the test, against before it; " + OpenHandles.openedSince(mark));
    }
}
