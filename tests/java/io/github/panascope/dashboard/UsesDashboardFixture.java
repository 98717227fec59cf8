package io.github.panascope.dashboard;

import io.github.panascope.LeakCheck;
import io.github.panascope.torch.TensorScope;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** Tests with a {@link DashboardFixture} that is loaded once for a class, and a folder and a scope for each test. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@ExtendWith(LeakCheck.class)
abstract class UsesDashboardFixture {
    DashboardFixture fixture;

    @TempDir
    Path folder;

    private TensorScope scope;

    @BeforeAll
    final void load() {
        fixture = new DashboardFixture();
    }

    @AfterAll
    final void close() {
        fixture.close();
    }

    @BeforeEach
    final void openScope() {
        scope = TensorScope.open();
    }

    @AfterEach
    final void closeScope() {
        scope.close();
    }

    /** Opens a store of features of the folded SAE. */
    final FeatureStore open(String name, int... features) {
        return fixture.open(folder.resolve(name), features);
    }
}
