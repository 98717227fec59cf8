package io.github.panascope;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.condition.EnabledIf;

/**
 * Tests that hold on every device: they load models and SAEs on {@link TestDevice}, and run once on the CPU and once on
 * the stand-in for CUDA.
 */
@Retention(RetentionPolicy.RUNTIME)
@Target({ElementType.TYPE, ElementType.METHOD})
@Tag("device")
@EnabledIf(
        value = "io.github.panascope.TestDevice#isThere",
        disabledReason = "there is no stand-in for CUDA with this libtorch")
public @interface OnEachDevice {}
