# The part of `cmake --install` that the prefix decides. A prefix of the system takes /etc, any other
# its own etc/, so that nothing is written outside it.
set(prefix "${CMAKE_INSTALL_PREFIX}")
set(units "${prefix}/lib/systemd/system")
set(zsh "${prefix}/share/zsh/site-functions")
set(config /etc/weir)
if(prefix STREQUAL "/usr")
  set(units /lib/systemd/system)
  set(zsh /usr/share/zsh/vendor-completions)
  execute_process(COMMAND gzip -9nfk changelog.Debian WORKING_DIRECTORY "${WEIR_MADE_DIR}"
                  COMMAND_ERROR_IS_FATAL ANY)
  file(INSTALL "${WEIR_MADE_DIR}/changelog.Debian.gz" DESTINATION "${prefix}/share/doc/weir")
elseif(NOT prefix STREQUAL "/usr/local")
  set(config "${prefix}/etc/weir")
endif()

set(WEIR_BIN_DIR "${prefix}/bin")
set(WEIR_CONFIG_DIR "${config}")
configure_file("${WEIR_PACKAGE_DIR}/weir.service.in" "${WEIR_MADE_DIR}/weir.service" @ONLY)
file(INSTALL "${WEIR_MADE_DIR}/weir.service" DESTINATION "${units}")
file(INSTALL "${WEIR_MADE_DIR}/weir.zsh" DESTINATION "${zsh}" RENAME _weir)

# What an administrator changed stays.
function(install_once source folder)
  get_filename_component(name "${source}" NAME)
  if(EXISTS "$ENV{DESTDIR}${folder}/${name}")
    message(STATUS "Kept: ${folder}/${name}")
  else()
    file(INSTALL "${source}" DESTINATION "${folder}")
  endif()
endfunction()
configure_file("${WEIR_PACKAGE_DIR}/weir.yaml.in" "${WEIR_MADE_DIR}/weir.yaml" @ONLY)
install_once("${WEIR_MADE_DIR}/weir.yaml" "${config}")
install_once("${WEIR_SOURCE_DIR}/docs/example/rules/shop.yaml" "${config}/rules")
