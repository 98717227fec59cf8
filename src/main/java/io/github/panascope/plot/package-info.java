/** Pictures of results as single files that ask for nothing else. */
package io.github.panascope.plot;
