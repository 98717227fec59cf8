package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import io.github.panascope.cli.CapturedOutput;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Disabled;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.junit.platform.launcher.core.LauncherConfig;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/** The line at the end of a run that names what was not tested. */
class NotTestedTest {
    @RegisterExtension
    private final CapturedOutput console = new CapturedOutput();

    /** Tests that this class runs by itself: the build finds none in a class that is not named so. */
    static class WithoutABrowser {
        @BeforeAll
        static void start() {
            assumeTrue(false, "no browser");
        }

        @Test
        void first() {}

        @ParameterizedTest
        @ValueSource(ints = {1, 2})
        void second(int number) {}

        @Nested
        class Inside {
            @Test
            void third() {}
        }
    }

    static class Some {
        @Test
        void runs() {}

        @Test
        void isLeftOut() {
            assumeTrue(false, "nothing to compare");
        }

        @Test
        @Disabled("too slow")
        void isDisabled() {}
    }

    static class All {
        @Test
        void runs() {}
    }

    private String linesOf(Class<?>... classes) {
        LauncherDiscoveryRequestBuilder request = LauncherDiscoveryRequestBuilder.request();
        for (Class<?> each : classes) request.selectors(selectClass(each));
        LauncherFactory.create(LauncherConfig.builder()
                        .enableTestExecutionListenerAutoRegistration(false)
                        .addTestExecutionListeners(new NotTested())
                        .build())
                .execute(request.build());
        return console.output();
    }

    @Test
    void testsOfAClassThatNeverStartsAreCounted() {
        assertEquals("Not tested: 3 tests, no browser\n", linesOf(WithoutABrowser.class));
    }

    @Test
    void reasonsStandInOneLine() {
        assertEquals(
                "Not tested: 3 tests, no browser; 1 test, nothing to compare; 1 test, too slow\n",
                linesOf(WithoutABrowser.class, Some.class));
    }

    @Test
    void nothingIsSaidWhereAllTestsRan() {
        assertEquals("", linesOf(All.class));
    }
}
