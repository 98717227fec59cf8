package io.github.panascope.torch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** How many threads operators use is one number for the whole process, on whichever thread it is set. */
class ThreadsTest {
    private int before;

    @BeforeEach
    void three() {
        before = Torch.threads();
        Torch.setThreads(3);
    }

    @AfterEach
    void asItWas() {
        Torch.setThreads(before);
    }

    private static int threadsOfANewThread() throws Exception {
        try (ExecutorService once = Executors.newSingleThreadExecutor()) {
            return once.submit(Torch::threads).get();
        }
    }

    @Test
    void whatIsSetHoldsOnThreadsThatHaveComputedBefore() throws Exception {
        try (ExecutorService other = Executors.newSingleThreadExecutor()) {
            assertEquals(3, other.submit(Torch::threads).get());
            Torch.setThreads(2);
            assertEquals(2, other.submit(Torch::threads).get());
            other.submit(() -> Torch.setThreads(5)).get();
            assertEquals(5, Torch.threads());
            assertEquals(5, threadsOfANewThread());
        }
        assertThrows(IllegalArgumentException.class, () -> Torch.setThreads(0));
        assertEquals(5, Torch.threads());
    }

    @Test
    void whenSeveralOverlapTheLastPutsBackWhatWas() throws Exception {
        try (ExecutorService other = Executors.newSingleThreadExecutor();
                ExecutorService third = Executors.newSingleThreadExecutor()) {
            third.submit(Torch::threads).get();
            Torch.SingleThreaded first = Torch.singleThreaded();
            Torch.SingleThreaded second = other.submit(Torch::singleThreaded).get();
            for (int open = 2; open > 0; open--) {
                assertEquals(1, Torch.threads());
                assertEquals(1, other.submit(Torch::threads).get());
                assertEquals(1, third.submit(Torch::threads).get());
                assertEquals(1, threadsOfANewThread());
                if (open == 2) first.close();
            }
            first.close(); // again, which does nothing
            assertEquals(1, third.submit(Torch::threads).get());
            other.submit(second::close).get();
            for (ExecutorService each : new ExecutorService[] {other, third})
                assertEquals(3, each.submit(Torch::threads).get());
            assertEquals(3, Torch.threads());
            assertEquals(3, threadsOfANewThread());
        }
    }

    @Test
    void whatIsSetMeanwhileHoldsAfterwards() throws Exception {
        try (var _ = Torch.singleThreaded();
                var _ = Torch.singleThreaded()) {
            Torch.setThreads(2);
            assertEquals(1, Torch.threads());
            assertThrows(IllegalArgumentException.class, () -> Torch.setThreads(-1));
            assertEquals(1, threadsOfANewThread());
        }
        assertEquals(2, Torch.threads());
        assertEquals(2, threadsOfANewThread());
    }
}
