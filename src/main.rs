//! The binary: reads the arguments, loads the configuration, runs the command, and ends with its exit code.

use std::process::ExitCode;

use doorward::cli::{Cli, Command, Failure, Output, pages, serve};

fn main() -> ExitCode {
    let cli = match Cli::from_process() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let output = Output::new(&cli.global);
    match run(cli, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output.fail(&failure),
    }
}

fn run(Cli { global, command }: Cli, output: Output) -> Result<(), Failure> {
    match command {
        Command::Serve => serve::run(&global, global.load()?.config),
        Command::Console(arguments) => {
            let loaded = global.load()?;
            arguments.run(&global, loaded.config, loaded.file.as_deref())
        }
        Command::Operate(command) => command.run(&global, global.load()?.config, output),
        Command::Rebuild(command) => command.run(&global.load()?.config, output),
        Command::Export(arguments) => arguments.run(&global, global.load()?.config, output),
        Command::Import(arguments) => arguments.run(&global, global.load()?.config, output),
        Command::Rekey(arguments) => arguments.run(&global, global.load()?.config, output),
        Command::Config(command) => command.run(&global, output),
        Command::Openapi => pages::openapi(),
        Command::Completions { shell } => pages::completions(shell),
        Command::Man { dir } => pages::man(dir.as_deref()),
    }
}
