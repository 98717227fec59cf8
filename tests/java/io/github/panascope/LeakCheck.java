package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.panascope.torch.OpenHandles;
import io.github.panascope.torch.Torch;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Fails a test that leaves a native handle behind, and a class whose fixture does. With
 * {@code -Dpanascope.traceHandles=true} it prints where the handles were opened.
 */
public final class LeakCheck implements BeforeAllCallback, AfterAllCallback, BeforeEachCallback, AfterEachCallback {
    private static final ExtensionContext.Namespace NAMESPACE = ExtensionContext.Namespace.create(LeakCheck.class);

    @Override
    public void beforeAll(ExtensionContext context) {
        remember(context);
    }

    @Override
    public void beforeEach(ExtensionContext context) {
        remember(context);
    }

    @Override
    public void afterEach(ExtensionContext context) {
        compare(context, "the test");
    }

    @Override
    public void afterAll(ExtensionContext context) {
        compare(context, "the class");
    }

    private static void remember(ExtensionContext context) {
        context.getStore(NAMESPACE).put("live", Torch.liveHandles());
        context.getStore(NAMESPACE).put("mark", OpenHandles.mark());
    }

    private static void compare(ExtensionContext context, String what) {
        long before = context.getStore(NAMESPACE).get("live", Long.class);
        long mark = context.getStore(NAMESPACE).get("mark", Long.class);
        assertEquals(
                before,
                Torch.liveHandles(),
                () -> "native handles alive after " + what + ", against before it; " + OpenHandles.openedSince(mark));
    }
}
