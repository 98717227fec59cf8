/** Pictures of results as single files that ask for nothing else. */
@NullMarked
package io.github.panascope.plot;

import org.jspecify.annotations.NullMarked;
