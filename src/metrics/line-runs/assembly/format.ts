/** Writes what "%.32g" makes of the number, and gives its length. A decorator is how AssemblyScript names an import. */
@external("env", "format")
export declare function format(value: f64, at: usize): usize;
